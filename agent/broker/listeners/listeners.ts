/**
 * All listeners of the broker, each with its own state (I9). A listener that cannot bind, or whose
 * certificate cannot be read, is retried with backoff while the others accept connections.
 */
import { Backoff } from '../../../shared/backoff.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import { errorText } from '../../../shared/log.ts';
import { type Listener, type ListenerOptions, type ListenerParts, openListener } from './listener.ts';

const RETRY_PAUSE = { firstMs: 1000, lastMs: 30_000 };

export interface ListenerState {
  type: ListenerOptions['type'];
  host: string;
  /** The actual port while the listener is open. */
  port: number;
  /** Null while the listener is open. */
  error: string | null;
}

interface Place {
  options: ListenerOptions;
  listener: Listener | null;
  error: string | null;
}

export interface ListenersParts {
  entropy: Entropy;
  /** The parts for a new listener. */
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

  /** Resolves when each listener was tried once. Failed listeners are retried until {@link stop}. */
  async start(): Promise<void> {
    for (const place of this.#places) {
      if (!(await this.#open(place))) this.#retries.push(this.#retry(place));
    }
  }

  /** Resolves when the accepted connections have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const closed = this.#close();
    await Promise.all(this.#retries);
    // A listener may have opened meanwhile.
    await Promise.all([closed, this.#close()]);
  }

  /** The open listeners, with their actual ports. */
  addresses(): ListenerOptions[] {
    return this.#places.flatMap(({ listener }) => (listener ? [listener.address] : []));
  }

  states(): ListenerState[] {
    return this.#places.map(({ options, listener, error }) => {
      const { type, host, port } = listener?.address ?? options;
      return { type, host, port, error };
    });
  }

  /** After the call, no connection is accepted. */
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
