/**
 * How far behind a source is, by the age of what comes through it: told at each commit, from two beginnings.
 * Since its newest record was taken, which counts the gateway's waiting too (an outage, a linger); since the
 * provider took it in, which counts the provider and the routers alone.
 */
import { Histogram, type Registry } from 'prom-client';
import type { Clock } from '../../shared/clock.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { Delivery } from './source.ts';

/**
 * Of the last envelope that told; milliseconds, 0 where the other clock is ahead of ours, null before the
 * first.
 */
export interface SourceAge {
  /** From when the newest record was taken: only from gateways whose clock is synchronised (I7). */
  recordAgeMs: number | null;
  /** From when the provider took the message in: null for ever where it does not tell. */
  queueAgeMs: number | null;
}

/** Seconds: from a live path to a backlog of days. */
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
      help: 'From when an envelope’s newest record was taken to its commit; of gateways with a synchronised clock.',
    });
    this.#queueAge = new Histogram({
      ...common,
      name: 'headgate_router_source_queue_age_seconds',
      help: 'From when the provider took an envelope in to its commit.',
    });
  }

  /** The envelope that came as `delivery` was committed just now. */
  committed({ source, enqueuedWallMs = null }: Delivery, { clock, records }: Envelope): void {
    const nowMs = this.#clock.wallMs();
    const last = { ...this.of(source) };
    const newest = records.at(-1);
    if (newest && clock.quality === 'synchronised') {
      last.recordAgeMs = Math.max(0, nowMs - newest.monoMs - clock.offsetMs);
      this.#recordAge.observe({ source }, last.recordAgeMs / 1000);
    }
    // A time that a provider's SDK could not read is no number, and must hold up no commit.
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
