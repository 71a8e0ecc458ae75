/**
 * A listener that cannot bind does not end its process (I9): its address may be free in a moment, and
 * everything else goes on meanwhile. It has its own state and tries again.
 */
import { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Entropy } from './entropy.ts';
import { errorText, type Logger } from './log.ts';

const BACKOFF = { firstMs: 250, lastMs: 5000 };

export interface ListeningOptions {
  /** The listener's name, for the log: `admin`, the name of a source. */
  name: string;
  /** Opens the listener anew; rejects when the address is taken or not ours, or a file cannot be used. */
  bind: () => Promise<void>;
  /** Called with each change: why it does not listen, or null once it does. */
  onChange?: (problem: string | null) => void;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class Listening {
  readonly #options: ListeningOptions;
  readonly #stopping = new AbortController();
  readonly #backoff: Backoff;
  #retrying: Promise<void> = Promise.resolve();

  constructor(options: ListeningOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.entropy);
  }

  /** Resolves after the first try, whatever came of it; further tries go on in the background. */
  async start(): Promise<void> {
    if (!(await this.#try())) this.#retrying = this.#retry();
  }

  /** Ends the trying; closing the listener is left to its owner. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#retrying;
  }

  async #retry(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    do await clock.sleep(this.#backoff.failed(), signal);
    while (!signal.aborted && !(await this.#try()));
  }

  async #try(): Promise<boolean> {
    const { name, bind, onChange = () => undefined, log } = this.#options;
    try {
      await bind();
      onChange(null);
      return true;
    } catch (error) {
      const problem = errorText(error);
      onChange(problem);
      log.error({ event: 'listener.failed', listener: name, error: problem });
      return false;
    }
  }
}
