/**
 * A publisher that is there from the start and opens in the background: a provider whose certificate file or
 * credentials are not readable yet must not keep the gateway from taking records (I9).
 *
 * And it holds the inner one to its promise: a publish that has not settled some time after its deadline, or
 * that throws, is a fault of an SDK (aws-sdk-js-v3#3722 and #7835 are such). It is abandoned as unknown,
 * since it may have arrived; the publisher is closed, whatever that comes to, and made anew, so that a stuck
 * one holds nothing of the gateway's for longer (I10).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { OutboundEnvelope, Outcome, ProviderType, Publisher } from './publisher.ts';

const REOPEN_MS = 5000;
/** After its deadline: a busy gateway's timers are late by less. */
const GRACE_MS = 1000;
const CLOSE_MS = 1000;
/** Until the publisher is open its own limit is unknown; no provider takes less than this. */
const ENVELOPE_BYTES_UNTIL_OPEN = 120_000;

const CLOSED: Outcome = { kind: 'unknown', cause: 'connection-lost', detail: 'the publisher was closed' };
const RENEWED: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the publisher was stuck and is being made anew',
};

export interface SupervisedOptions {
  provider: string;
  type: ProviderType;
  /**
   * Loads credentials and SDK. Rejects when a file that the options name cannot be read, or is not what it
   * should be.
   */
  open: () => Promise<Publisher>;
  /** One that is open already. */
  opened?: Publisher;
  clock: Clock;
  log: Logger;
}

export class SupervisedPublisher implements Publisher {
  readonly type: ProviderType;
  readonly #provider: string;
  readonly #openInner: () => Promise<Publisher>;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Ends each publish that is under way. */
  readonly #inFlight = new Set<(outcome: Outcome) => void>();
  #opening: Promise<void>;
  #inner: Publisher | null;
  /** What a publish comes to while it is not open. */
  #unopened: Outcome = { kind: 'retryable', cause: 'not-connected', detail: 'still opening' };
  #retry: Timer | null = null;
  #closed: boolean = false;

  constructor(options: SupervisedOptions) {
    this.type = options.type;
    this.#provider = options.provider;
    this.#openInner = options.open;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#inner = options.opened ?? null;
    this.#opening = this.#inner ? Promise.resolve() : this.#open();
  }

  get maxEnvelopeBytes(): number {
    return this.#inner?.maxEnvelopeBytes ?? ENVELOPE_BYTES_UNTIL_OPEN;
  }

  async publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome> {
    const endsAtMs = this.#clock.monoMs() + deadlineMs;
    if (!this.#inner) await this.#within(this.#opening, deadlineMs);
    const inner = this.#inner;
    if (!inner) return this.#closed ? CLOSED : this.#unopened;
    const leftMs = Math.max(1, endsAtMs - this.#clock.monoMs());
    return this.#watched(inner, leftMs, inner.publish(message, leftMs, signal));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    await this.#within(this.#opening, CLOSE_MS);
    const inner = this.#inner;
    if (inner) await this.#within(this.#closeQuietly(inner), CLOSE_MS);
    for (const end of this.#inFlight) end(CLOSED);
  }

  /** The outcome, or that there is none. */
  async #watched(inner: Publisher, deadlineMs: number, publish: Promise<Outcome>): Promise<Outcome> {
    const { promise: ended, resolve: end } = Promise.withResolvers<Outcome>();
    this.#inFlight.add(end);
    const stuckMs = deadlineMs + GRACE_MS;
    const watchdog = this.#clock.setTimer(stuckMs, () => {
      end(this.#abandon(inner, `not settled ${Math.round(stuckMs)} ms after it began`));
    });
    const settled = publish.catch((error: unknown) => this.#abandon(inner, errorText(error)));
    const outcome = await Promise.race([settled, ended]);
    watchdog.cancel();
    this.#inFlight.delete(end);
    return outcome;
  }

  #abandon(inner: Publisher, detail: string): Outcome {
    if (!this.#closed) {
      const renewed = inner === this.#inner;
      this.#log.error({ event: 'publish.abandoned', provider: this.#provider, detail, renewed });
      if (renewed) this.#renew(inner);
    }
    return { kind: 'unknown', cause: 'abandoned', detail };
  }

  #renew(stuck: Publisher): void {
    this.#inner = null;
    this.#unopened = RENEWED;
    void this.#closeQuietly(stuck);
    this.#opening = this.#open();
  }

  async #open(): Promise<void> {
    try {
      const inner = await this.#openInner();
      if (this.#closed) await inner.close();
      else this.#inner = inner;
    } catch (error) {
      const detail = errorText(error);
      // The only files that opening reads say who we are and whom to trust: nothing passes until somebody
      // mends them.
      this.#unopened = { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
      this.#log.error({ event: 'provider.open_failed', provider: this.#provider, error: detail });
      if (this.#closed) return;
      this.#retry = this.#clock.setTimer(REOPEN_MS, () => {
        this.#opening = this.#open();
      });
    }
  }

  /** Never rejects. It may not resolve: whoever waits for it bounds that. */
  async #closeQuietly(inner: Publisher): Promise<void> {
    try {
      await inner.close();
    } catch (error) {
      this.#log.warn({ event: 'provider.close_failed', provider: this.#provider, error: errorText(error) });
    }
  }

  async #within(event: Promise<void>, waitMs: number): Promise<void> {
    const done = new AbortController();
    await Promise.race([event, this.#clock.sleep(waitMs, done.signal)]);
    done.abort();
  }
}
