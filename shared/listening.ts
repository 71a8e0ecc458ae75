/**
 * A listener that cannot bind does not end its process (I9): its address may be free soon, and the rest of
 * the process runs on. The listener has its own state and retries.
 */
import { Backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Entropy } from './entropy.ts';
import { errorText, type Logger } from './log.ts';

const BACKOFF = { firstMs: 250, lastMs: 5000 };

export interface ListeningOptions {
  /** The listener's name, for the log: `admin`, the name of a source. */
  name: string;
  /** Opens a new listener; rejects when the address is in use or not local, or when a file is unusable. */
  bind: () => Promise<void>;
  /** Called on each change: with the reason while it does not listen, with null once it does. */
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

  /** Resolves after the first try, successful or not; further tries run in the background. */
  async start(): Promise<void> {
    if (!(await this.#try())) this.#retrying = this.#retry();
  }

  /** Stops the retries; the owner closes the listener. */
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
