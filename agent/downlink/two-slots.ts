/**
 * The two credential slots of a cloud's downlink. They are simpler than a provider's: a refused question
 * loses nothing, so only a refusal switches to the other slot, with the next question.
 */
export class TwoSlots<T extends { credentials?: unknown; next_credentials?: unknown }> {
  readonly #config: T;
  #usesNext: boolean = false;

  constructor(config: T) {
    this.#config = config;
  }

  /** The configuration with the current slot as `credentials`. */
  get current(): T {
    const { next_credentials: next } = this.#config;
    return this.#usesNext && next !== undefined ? { ...this.#config, credentials: next } : this.#config;
  }

  /** The cloud refused the current credentials, or they are unreadable. */
  refused(): void {
    this.#usesNext = !this.#usesNext && this.#config.next_credentials !== undefined;
  }
}
