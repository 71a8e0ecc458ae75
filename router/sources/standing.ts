/**
 * The state of one source for `/v1/status`, `/readyz` and the metrics. `connected` is true from a proof (an
 * answer or a message of the provider) to the first sign of a loss; a proof clears the last error.
 */
import { initialSourceState, type SourceState } from './source.ts';

export class Standing {
  readonly #state = initialSourceState();

  get connected(): boolean {
    return this.#state.connected;
  }

  /** A copy. */
  state(): SourceState {
    return { ...this.#state };
  }

  /** The provider answered or delivered. */
  proven(): void {
    this.#state.connected = true;
    this.#state.lastError = null;
  }

  /** The connection failed, or the provider refused it. */
  lost(error: string): void {
    this.#state.connected = false;
    this.#state.lastError = error;
    this.#state.backlog = null;
  }

  /** The router itself ended a connection because no answer came. */
  cut(error: string): void {
    this.#state.cuts += 1;
    this.lost(error);
  }

  /** The provider asked to slow down. Call `lost` or `noted` too, with the error. */
  throttled(): void {
    this.#state.throttled += 1;
  }

  /** A request failed on a connection that stands; the next proof clears the error. */
  noted(error: string): void {
    this.#state.lastError = error;
  }

  /** Messages arrived; `wallMs` is now. */
  received(count: number, wallMs: number): void {
    this.#state.received += count;
    this.#state.lastReceivedMs = wallMs;
  }

  settled(count: number): void {
    this.#state.settled += count;
  }

  /** Messages waiting at the provider; null when unknown. */
  waiting(backlog: number | null): void {
    this.#state.backlog = backlog;
  }

  /** Messages that the provider dropped by age before they were read. */
  expired(count: number): void {
    this.#state.expired += count;
  }

  stopped(): void {
    this.#state.connected = false;
    this.#state.backlog = null;
  }
}
