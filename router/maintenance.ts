/**
 * Maintains the ledger in the background: removes evidence and records past their bounds, in small steps
 * beside the commits.
 */
import { Counter, type Registry } from 'prom-client';
import type { Clock } from '../shared/clock.ts';
import { errorText, type Logger } from '../shared/log.ts';
import { ObservedMetrics, type Reading } from '../shared/observed-metrics.ts';
import type { Service } from '../shared/service.ts';
import type { LedgerMaintenance, StoredBytes } from './ledger/maintenance.ts';
import type { RetentionRules } from './ledger/rules/retention.ts';

export interface MaintenanceOptions {
  ledger: LedgerMaintenance;
  retention: RetentionRules;
  registry: Registry;
  clock: Clock;
  log: Logger;
  /** From the end of one round to the next. */
  periodMs?: number;
}

const PERIOD_MS = 60_000;
/** Pause between two steps of the retention, for the commits. */
const PAUSE_MS = 20;
/** Most gateways whose stored bytes are shown. */
const GATEWAYS_SHOWN = 20;

export class Maintenance implements Service {
  readonly #options: MaintenanceOptions;
  readonly #stopping = new AbortController();
  readonly #retained: Counter;
  readonly #failures: Counter;
  #running: Promise<void> = Promise.resolve();
  #stored: StoredBytes | null = null;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    const registers = [options.registry];
    this.#retained = new Counter({
      name: 'headgate_router_retention_records_total',
      help: 'Records removed from the ledger by the retention rules; their ids stay known.',
      registers,
    });
    this.#failures = new Counter({
      name: 'headgate_router_maintenance_failures_total',
      help: 'Failed rounds of maintenance; the next round resumes where the failed one ended.',
      registers,
    });
    const metrics = new ObservedMetrics(options.registry, 'headgate_router_');
    metrics.gauge('stored_bytes', 'Bytes of the records in the ledger.', [], () =>
      this.#stored === null ? [] : [[{}, this.#stored.total]],
    );
    metrics.gauge(
      'gateway_stored_bytes',
      `Bytes of records in the ledger, of the ${GATEWAYS_SHOWN} gateways with the most.`,
      ['gateway'],
      () => (this.#stored?.gateways ?? []).map(({ gateway, bytes }): Reading => [{ gateway }, bytes]),
    );
  }

  /** As of the last round; null before the first, and where the ledger does not count them. */
  stored(): StoredBytes | null {
    return this.#stored;
  }

  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.#running;
  }

  /** Never rejects: after an outage of the ledger, maintenance resumes (I9). */
  async #run(): Promise<void> {
    const { clock, log, periodMs = PERIOD_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#round();
      } catch (error) {
        this.#failures.inc();
        log.warn({ event: 'maintenance.failed', error: errorText(error) });
      }
      await clock.sleep(periodMs, signal);
    }
  }

  async #round(): Promise<void> {
    const { ledger, retention, clock, log } = this.#options;
    const { signal } = this.#stopping;
    const nowMs = clock.wallMs();
    await ledger.expire(nowMs);
    let left = 0;
    for (let more = true; more && !signal.aborted; ) {
      const step = await ledger.retain(retention, nowMs);
      this.#retained.inc(step.records);
      left += step.records;
      more = step.more;
      if (more) await clock.sleep(PAUSE_MS, signal);
    }
    this.#stored = await ledger.storedBytes(GATEWAYS_SHOWN);
    if (left > 0) log.info({ event: 'maintenance.retained', records: left });
  }
}
