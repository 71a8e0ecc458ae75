/**
 * A publisher that exists from the start and opens in the background: a provider with an unreadable
 * certificate or credentials must not keep the gateway from taking records (I9).
 *
 * It also enforces the contract of the inner publisher. A publish that has not settled some time after its
 * deadline, or that throws, is a fault of an SDK (for example aws-sdk-js-v3#3722 and #7835). It is abandoned
 * as unknown, since it may have arrived. The inner publisher is closed without waiting for the result, and a
 * new one is opened, so that a stuck one holds no resources for longer (I10).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import { within } from '../../shared/within.ts';
import type { OutboundEnvelope, Outcome, PublishAttempt, Publisher } from './publisher.ts';
import { CLOSED, CLOSED_UNDER_WAY } from './tries.ts';

const REOPEN_MS = 5000;
/** Time limit for reading files and loading the SDK, on a slow disk. */
const OPEN_MS = 60_000;
/** After the deadline: timers of a busy gateway are late by less. */
const GRACE_MS = 1000;
const CLOSE_MS = 1000;
/** Until the publisher is open, its limit is unknown; no provider takes less than this. */
const ENVELOPE_BYTES_UNTIL_OPEN = 120_000;

const RENEWED: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the publisher was stuck and is being made anew',
};

export interface SupervisedOptions {
  provider: string;
  type: string;
  /** Loads credentials and SDK. Rejects when a file of the options is unreadable or invalid. */
  open: () => Promise<Publisher>;
  /** A publisher that is open already. */
  opened?: Publisher;
  clock: Clock;
  log: Logger;
}

export class SupervisedPublisher implements Publisher {
  readonly type: string;
  readonly #provider: string;
  readonly #openInner: () => Promise<Publisher>;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** The functions that end the publishes under way. */
  readonly #inFlight = new Set<(outcome: Outcome) => void>();
  #opening: Promise<void>;
  #inner: Publisher | null;
  /** The outcome of a publish while the publisher is not open. */
  #unopened: Outcome = { kind: 'retryable', cause: 'not-connected', detail: 'still opening' };
  #retry: Timer | null = null;
  #isClosed: boolean = false;
  #closing: Promise<void> | null = null;

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

  async publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const leftMs = Math.max(1, attempt.endsAtMs - this.#clock.monoMs());
    if (!this.#inner && !this.#isClosed) await within(this.#clock, leftMs, this.#opening, () => undefined);
    if (!this.#inner || this.#isClosed) return this.#isClosed ? CLOSED : this.#unopened;
    return this.#watched(this.#inner, message, attempt);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    await within(this.#clock, CLOSE_MS, this.#opening, () => undefined);
    const inner = this.#inner;
    if (inner) await within(this.#clock, CLOSE_MS, this.#closeQuietly(inner), () => undefined);
    for (const end of this.#inFlight) end(CLOSED_UNDER_WAY);
  }

  /** The outcome of the inner publisher, or `unknown` when it does not settle. */
  async #watched(inner: Publisher, message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome> {
    const { promise: ended, resolve: end } = Promise.withResolvers<Outcome>();
    this.#inFlight.add(end);
    const stuckMs = Math.max(0, attempt.endsAtMs - this.#clock.monoMs()) + GRACE_MS;
    const watchdog = this.#clock.setTimer(stuckMs, () => {
      end(this.#abandon(inner, `not settled ${Math.round(stuckMs)} ms after it began`));
    });
    const settled = inner
      .publish(message, attempt)
      .catch((error: unknown) => this.#abandon(inner, errorText(error)));
    const outcome = await Promise.race([settled, ended]);
    watchdog.cancel();
    this.#inFlight.delete(end);
    return outcome;
  }

  #abandon(inner: Publisher, detail: string): Outcome {
    if (!this.#isClosed) {
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
      const opening = this.#openInner();
      const inner = await within(this.#clock, OPEN_MS, opening, () => null);
      if (inner === null) {
        void opening.then(
          (late) => this.#closeQuietly(late),
          () => undefined,
        );
        throw new Error(`it did not open within ${OPEN_MS} ms`);
      }
      if (this.#isClosed) await inner.close();
      else this.#inner = inner;
    } catch (error) {
      const detail = errorText(error);
      // Opening reads only files of credentials and authorities: no publish passes until they are corrected.
      this.#unopened = { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
      this.#log.error({ event: 'provider.open_failed', provider: this.#provider, error: detail });
      if (this.#isClosed) return;
      this.#retry = this.#clock.setTimer(REOPEN_MS, () => {
        this.#opening = this.#open();
      });
    }
  }

  /** Never rejects. It may not resolve: its callers bound the wait. */
  async #closeQuietly(inner: Publisher): Promise<void> {
    try {
      await inner.close();
    } catch (error) {
      this.#log.warn({ event: 'provider.close_failed', provider: this.#provider, error: errorText(error) });
    }
  }
}
