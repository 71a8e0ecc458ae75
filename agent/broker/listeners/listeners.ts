/**
 * All listeners of the broker, each with a state of its own (I9): one that cannot bind, or whose certificate
 * cannot be read, is tried again, ever more slowly, while the others take connections.
 */
import { Backoff } from '../../../shared/backoff.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import { errorText } from '../../../shared/log.ts';
import { type Listener, type ListenerOptions, type ListenerParts, openListener } from './listener.ts';

const RETRY_PAUSE = { firstMs: 1000, lastMs: 30_000 };

export interface ListenerState {
  type: ListenerOptions['type'];
  host: string;
  /** The port it got, once it listens. */
  port: number;
  /** Null while it listens. */
  error: string | null;
}

interface Place {
  options: ListenerOptions;
  listener: Listener | null;
  error: string | null;
}

export interface ListenersParts {
  entropy: Entropy;
  /** What the listener is made with. */
  partsOf(options: ListenerOptions): ListenerParts;
}

export class Listeners {
  readonly #places: Place[];
  readonly #parts: ListenersParts;
  readonly #stopping = new AbortController();
  readonly #retries: Array<Promise<void>> = [];

  constructor(options: readonly ListenerOptions[], parts: ListenersParts) {
    this.#places = options.map((one) => ({ options: one, listener: null, error: 'not started' }));
    this.#parts = parts;
  }

  /** Resolves when each was tried once; those that failed are tried again until {@link stop}. */
  async start(): Promise<void> {
    for (const place of this.#places) {
      if (!(await this.#open(place))) this.#retries.push(this.#retry(place));
    }
  }

  /** Resolves when the connections that they took are over. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const closed = this.#close();
    await Promise.all(this.#retries);
    // One may have opened meanwhile.
    await Promise.all([closed, this.#close()]);
  }

  /** Those that listen, with the ports they got. */
  addresses(): ListenerOptions[] {
    return this.#places.flatMap(({ listener }) => (listener ? [listener.address] : []));
  }

  states(): ListenerState[] {
    return this.#places.map(({ options, listener, error }) => {
      const { type, host, port } = listener?.address ?? options;
      return { type, host, port, error };
    });
  }

  /** No connection is accepted after the call. */
  async #close(): Promise<void> {
    const closed = this.#places.map(({ listener }) => listener?.close());
    for (const place of this.#places) place.listener = null;
    await Promise.all(closed);
  }

  async #open(place: Place): Promise<boolean> {
    const parts = this.#parts.partsOf(place.options);
    const { type, host, port } = place.options;
    try {
      place.listener = await openListener(place.options, parts);
      place.error = null;
      parts.log.info({ event: 'broker.listening', ...place.listener.address });
      return true;
    } catch (error) {
      place.error = errorText(error);
      parts.log.error({ event: 'broker.listener_failed', type, host, port, error: place.error });
      return false;
    }
  }

  async #retry(place: Place): Promise<void> {
    const { clock } = this.#parts.partsOf(place.options);
    const backoff = new Backoff(RETRY_PAUSE, this.#parts.entropy);
    do await clock.sleep(backoff.failed(), this.#stopping.signal);
    while (!this.#stopping.signal.aborted && !(await this.#open(place)));
  }
}
