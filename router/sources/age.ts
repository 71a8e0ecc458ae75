/**
 * How far behind a source is: the age of the envelopes that it brings, measured at each commit in two ways.
 * The record age runs from the capture of the newest record and includes the gateway's own waiting (an
 * outage, a linger). The queue age runs from the provider's intake and includes only the provider and the
 * routers.
 */
import { Histogram, type Registry } from 'prom-client';
import type { Clock } from '../../shared/clock.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { Delivery } from './source.ts';

/**
 * Ages of the last envelope that carried the time, in milliseconds: 0 where the other clock is ahead of ours,
 * null before the first envelope.
 */
export interface SourceAge {
  /** From the capture of the newest record; only from gateways whose clock is synchronised (I7). */
  recordAgeMs: number | null;
  /** From the provider's intake of the message; always null for a provider that does not report the time. */
  queueAgeMs: number | null;
}

/** In seconds: from a live path to a backlog of days. */
const BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86_400];

export class SourceAges {
  readonly #clock: Clock;
  readonly #recordAge: Histogram;
  readonly #queueAge: Histogram;
  readonly #last = new Map<string, SourceAge>();

  constructor(registry: Registry, clock: Clock) {
    const common = { labelNames: ['source'], buckets: BUCKETS, registers: [registry] };
    this.#clock = clock;
    this.#recordAge = new Histogram({
      ...common,
      name: 'headgate_router_source_record_age_seconds',
      help: 'From the capture of an envelope’s newest record to its commit; only gateways with a synchronised clock.',
    });
    this.#queueAge = new Histogram({
      ...common,
      name: 'headgate_router_source_queue_age_seconds',
      help: 'From the provider’s intake of an envelope to its commit.',
    });
  }

  /** Records the ages of an envelope that was committed just now. */
  committed({ source, enqueuedWallMs = null }: Delivery, { clock, records }: Envelope): void {
    const nowMs = this.#clock.wallMs();
    const last = { ...this.of(source) };
    const newest = records.at(-1);
    if (newest && clock.quality === 'synchronised') {
      last.recordAgeMs = Math.max(0, nowMs - newest.monoMs - clock.offsetMs);
      this.#recordAge.observe({ source }, last.recordAgeMs / 1000);
    }
    // A provider's SDK yields NaN for a time that it cannot parse; a commit must not fail because of it.
    if (enqueuedWallMs !== null && Number.isFinite(enqueuedWallMs)) {
      last.queueAgeMs = Math.max(0, nowMs - enqueuedWallMs);
      this.#queueAge.observe({ source }, last.queueAgeMs / 1000);
    }
    this.#last.set(source, last);
  }

  of(source: string): SourceAge {
    return this.#last.get(source) ?? { recordAgeMs: null, queueAgeMs: null };
  }
}
