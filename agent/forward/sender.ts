/** One provider as the forwarder uses it: a bounded number of tries under way, each reported to routing and metered. */
import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../cloud/publisher.ts';
import type { LiveRouting } from './live-routing.ts';

/** Envelopes under way at one provider at a time (I10). The SDKs' own queues stay empty below this. */
const IN_FLIGHT_MAX = 8;
/** Failure lines per provider and second; the rest are counted only (I10). */
const FAILURE_LINES_PER_SECOND = 5;

export interface SenderCounters {
  accepted: number;
  failed: number;
  /** Units that the provider bills for what it accepted. */
  units: number;
}

/** Told of every try; returns the units that are billed for it. */
export type CountTry = (provider: string, message: OutboundEnvelope, outcome: Outcome) => number;

export class Sender {
  readonly provider: string;
  readonly counters: SenderCounters = { accepted: 0, failed: 0, units: 0 };
  readonly #publisher: Publisher;
  readonly #routing: LiveRouting;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #count: CountTry;
  readonly #onOutcome: (outcome: Outcome, latencyMs: number) => void;
  #inFlight = 0;
  #failureLines = 0;
  #failureSecond = 0;

  constructor(options: {
    provider: string;
    publisher: Publisher;
    routing: LiveRouting;
    clock: Clock;
    log: Logger;
    count: CountTry;
    onOutcome: (outcome: Outcome, latencyMs: number) => void;
  }) {
    this.provider = options.provider;
    this.#publisher = options.publisher;
    this.#routing = options.routing;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#count = options.count;
    this.#onOutcome = options.onOutcome;
  }

  get maxEnvelopeBytes(): number {
    return this.#publisher.maxEnvelopeBytes;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get full(): boolean {
    return this.#inFlight >= IN_FLIGHT_MAX;
  }

  /** One try, within the deadline that routing gives this provider now. */
  async send(message: OutboundEnvelope, probe = false): Promise<Outcome> {
    this.#inFlight += 1;
    const startedMs = this.#clock.monoMs();
    const outcome = await this.#publisher.publish(
      message,
      this.#routing.deadlineMs(this.provider, message.bytes.length),
    );
    const latencyMs = this.#clock.monoMs() - startedMs;
    this.#inFlight -= 1;
    this.counters.units += this.#count(this.provider, message, outcome);
    if (outcome.kind === 'accepted') {
      this.counters.accepted += 1;
      this.#accepted(message, latencyMs);
    } else {
      this.#failed(message, outcome, latencyMs);
    }
    this.#onOutcome(outcome, latencyMs);
    this.#routing.dispatch({
      kind: 'published',
      provider: this.provider,
      outcome,
      latencyMs,
      bytes: message.bytes.length,
      probe,
    });
    return outcome;
  }

  close(): Promise<void> {
    return this.#publisher.close();
  }

  #accepted({ properties }: OutboundEnvelope, latencyMs: number): void {
    const { ep: epoch, st: stream, first, last } = properties;
    const { provider } = this;
    this.#log.debug({
      event: 'publish.accepted',
      provider,
      epoch,
      stream,
      first,
      last,
      latencyMs: Math.round(latencyMs),
    });
  }

  #failed(
    message: OutboundEnvelope,
    outcome: Exclude<Outcome, { kind: 'accepted' }>,
    latencyMs: number,
  ): void {
    this.counters.failed += 1;
    const second = Math.floor(this.#clock.monoMs() / 1000);
    if (second !== this.#failureSecond) {
      this.#failureSecond = second;
      this.#failureLines = 0;
    }
    this.#failureLines += 1;
    if (this.#failureLines > FAILURE_LINES_PER_SECOND) return;
    const { ep: epoch, st: stream, first, last } = message.properties;
    this.#log.warn({
      event: 'publish.failed',
      provider: this.provider,
      epoch,
      stream,
      first,
      last,
      latencyMs: Math.round(latencyMs),
      ...outcome,
    });
  }
}
