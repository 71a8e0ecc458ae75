/**
 * The two slots for credentials of a cloud's downlink. Simpler than a provider's: nothing is lost by a
 * question that is refused, so that only a refusal has the other slot tried, with the next question.
 */
export class TwoSlots<T extends { credentials?: unknown; next_credentials?: unknown }> {
  readonly #config: T;
  #usesNext: boolean = false;

  constructor(config: T) {
    this.#config = config;
  }

  /** The configuration with the credentials to use now as `credentials`. */
  get current(): T {
    const { next_credentials: next } = this.#config;
    return this.#usesNext && next !== undefined ? { ...this.#config, credentials: next } : this.#config;
  }

  /** The cloud refused what is current, or it cannot be read. */
  refused(): void {
    this.#usesNext = !this.#usesNext && this.#config.next_credentials !== undefined;
  }
}
