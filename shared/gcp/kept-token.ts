/**
 * An access token that outlives its endpoint's silence. The vendor's library waits for a new token during the
 * last five minutes of the old one; here the old one serves until its end, while a new one is asked for.
 */
import type { Clock } from '../clock.ts';

export interface FreshToken {
  headers: Headers;
  /** Null where the headers are made for each call without any request. */
  lifetimeMs: number | null;
}

/** A token is renewed this long before its end, or in the middle of a shorter life. */
const RENEW_BEFORE_MS = 300_000;
/** From a renewal that failed to the next, while there is a token. */
const RETRY_MS = 5000;
/** A token this close to its end may end on the way. */
const MARGIN_MS = 1000;

interface Kept {
  headers: Headers;
  /** Monotonic, like the next: the wall clock may be set meanwhile (I7). */
  endsAtMs: number;
  renewAtMs: number;
}

export class KeptToken {
  readonly #fetch: () => Promise<FreshToken>;
  readonly #clock: Clock;
  #kept: Kept | null = null;
  #renewal: Promise<Headers> | null = null;

  /** `fetch` has a time limit of its own. */
  constructor(fetch: () => Promise<FreshToken>, clock: Clock) {
    this.#fetch = fetch;
    this.#clock = clock;
  }

  /** Resolves at once while the token is good. Rejects when there is none and none comes. */
  async headers(): Promise<Headers> {
    const now = this.#clock.monoMs();
    const kept = this.#kept;
    if (!kept || now >= kept.endsAtMs) return this.#renewed();
    if (now >= kept.renewAtMs && !this.#renewal)
      this.#renewed().catch(() => {
        // Without an answer the next try follows; the caller is told once the token has ended.
        kept.renewAtMs = this.#clock.monoMs() + RETRY_MS;
      });
    return kept.headers;
  }

  /** One request at a time. */
  #renewed(): Promise<Headers> {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #renew(): Promise<Headers> {
    const { headers, lifetimeMs } = await this.#fetch();
    const now = this.#clock.monoMs();
    if (lifetimeMs === null) return headers;
    this.#kept = {
      headers,
      endsAtMs: now + lifetimeMs - MARGIN_MS,
      renewAtMs: now + lifetimeMs - Math.min(RENEW_BEFORE_MS, lifetimeMs / 2),
    };
    return headers;
  }
}
