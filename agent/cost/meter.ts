/**
 * The agent's meter: counts the units that each provider bills, keeps the count over restarts, reports the
 * month's use to routing, and puts providers on hold at the end of their quota or of the budget (limits.ts).
 *
 * The count is written at most every half minute, outside the path of records. A kill loses at most that much
 * of the count, and a disk that refuses the file affects only the count (I9).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import {
  billedUnits,
  type EnvelopeSizes,
  envelopeCostUsd,
  propertyBytes,
} from '../../shared/pricing/metering.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { Service } from '../../shared/service.ts';
import type { OutboundEnvelope, Outcome } from '../providers/publisher.ts';
import type { RoutingEvent } from '../routing/core/core.ts';
import { dayEndMs, monthEndMs } from './calendar.ts';
import { type BudgetState, type CostHold, limitsOf, type ProviderUse, quotaUsed } from './limits.ts';
import { mayBeBilled } from './possible.ts';
import { type ClockReading, NO_AMOUNT, Usage, type UsageSnapshot } from './usage.ts';
import { readUsageFile, writeUsageFile } from './usage-file.ts';

const TICK_MS = 1000;
/** Minimum interval between writes (I10): an SD card endures it for years. */
const WRITE_EVERY_MS = 30_000;
/** The pseudo-stream of twin messages; not a valid stream name, like that of heartbeats. */
const TWIN_STREAM = '_twin';

/** The meter's facts of a provider. */
export interface MeteredProvider {
  tariff: Tariff;
  /** The topic before `/<gateway>/<stream>`; empty where topics are not metered. */
  topicPrefix: string;
}

export interface MeterOptions {
  file: string;
  /** Default: the file may be any gateway's. */
  gateway?: string;
  providers: ReadonlyMap<string, MeteredProvider>;
  cost: Policy['cost'];
  /** Whether the wall clock is trusted (I7). */
  isSynchronised: () => boolean;
  dispatch: (event: RoutingEvent) => void;
  clock: Clock;
  log: Logger;
}

/** Current amounts and holds, for reports and metrics. */
export interface MeterReading {
  usage: UsageSnapshot;
  synchronised: boolean;
  uses: Array<ProviderUse & { holds: readonly CostHold[] }>;
  budget: BudgetState;
  spentUsd: number;
}

export class Meter implements Service {
  readonly #options: MeterOptions;
  #cost: Policy['cost'];
  #usage: Usage;
  #holds = new Map<string, { provider: string; reason: CostHold }>();
  #budget: BudgetState = 'none';
  #changed: boolean = false;
  #writtenMs: number;
  #writing: Promise<void> | null = null;
  #writeFails: boolean = false;
  #ticker: Timer | null = null;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#cost = options.cost;
    this.#writtenMs = options.clock.monoMs();
    this.#usage = new Usage(null, this.#writtenMs);
  }

  /** Another budget; its holds begin and end with the next second. */
  setCost(cost: Policy['cost']): void {
    this.#cost = cost;
  }

  /** Restores the count; the holds are in force when it resolves. */
  async start(): Promise<void> {
    const { file, gateway = null, clock, log } = this.#options;
    const read = await readUsageFile(file, gateway);
    if (read.state === 'ok') this.#usage = new Usage(read.snapshot, clock.monoMs());
    if (read.state === 'damaged') {
      log.error({ event: 'cost.usage_file_damaged', problem: read.problem, effect: 'counting from zero' });
    }
    this.#tick();
    this.#ticker = clock.every(TICK_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    if (!this.#ticker) return;
    this.#ticker.cancel();
    this.#ticker = null;
    this.#tick();
    await this.#writing;
    await this.#write();
  }

  /** Counts a finished try. Returns the billed units: 0 unless the outcome is accepted. */
  count(provider: string, message: OutboundEnvelope, outcome: Outcome): number {
    const metered = this.#options.providers.get(provider);
    if (!metered) return 0;
    const { tariff } = metered;
    const accepted = outcome.kind === 'accepted';
    if (!accepted && !mayBeBilled(tariff, outcome)) return 0;
    const sizes = sizesOf(message, metered.topicPrefix);
    const units = billedUnits(tariff, sizes);
    const usd = envelopeCostUsd(tariff, sizes, this.#usage.of(provider).month.units);
    const records = Number(message.properties.n ?? 0);
    const amount = accepted
      ? { ...NO_AMOUNT, units, usd, records }
      : { ...NO_AMOUNT, possibleUnits: units, possibleUsd: usd };
    this.#usage.add(provider, message.stream, amount);
    this.#changed = true;
    return accepted ? units : 0;
  }

  /**
   * Counts `bytes` of the device's twin that the hub sent, as a response or as a notification. The hub bills
   * both as messages ("Azure IoT Hub billing information").
   */
  countTwin(provider: string, bytes: number): void {
    const metered = this.#options.providers.get(provider);
    if (!metered) return;
    const units = billedUnits(metered.tariff, { payloadBytes: bytes, topicBytes: 0, propertyBytes: 0 });
    this.#usage.add(provider, TWIN_STREAM, { ...NO_AMOUNT, units });
    this.#changed = true;
  }

  reading(): MeterReading {
    const { isSynchronised } = this.#options;
    const uses = this.#uses();
    const { budget, spentUsd } = limitsOf(uses, this.#cost);
    const inForce = [...this.#holds.values()];
    return {
      usage: this.#usage.snapshot(),
      synchronised: isSynchronised(),
      uses: uses.map((use) => {
        const own = inForce.filter(({ provider }) => provider === use.provider);
        return { ...use, holds: own.map(({ reason }) => reason) };
      }),
      budget,
      spentUsd,
    };
  }

  #uses(): ProviderUse[] {
    return [...this.#options.providers].map(([provider, { tariff }]) => ({
      provider,
      tariff,
      ...this.#usage.of(provider),
    }));
  }

  #tick(): void {
    const { clock, dispatch, log } = this.#options;
    const turn = this.#usage.advance(this.#clockReading());
    if (turn) {
      this.#changed = true;
      log.info({ event: 'cost.turn', turn, day: this.#usage.snapshot().dated ? 'known' : 'unknown' });
    }
    const uses = this.#uses();
    for (const use of uses) {
      const { provider, month } = use;
      dispatch({ kind: 'usage', provider, unitsThisMonth: month.units, quotaUsed: quotaUsed(use) });
    }
    const limits = limitsOf(uses, this.#cost);
    this.#hold(limits.holds);
    this.#announce(limits.budget, limits.spentUsd);
    if (this.#changed && !this.#writing && clock.monoMs() - this.#writtenMs >= WRITE_EVERY_MS) {
      this.#writing = this.#write().finally(() => {
        this.#writing = null;
      });
    }
  }

  #clockReading(): ClockReading {
    const { clock, isSynchronised } = this.#options;
    return { monoMs: clock.monoMs(), wallMs: clock.wallMs(), synchronised: isSynchronised() };
  }

  #hold(wanted: ReadonlyArray<{ provider: string; reason: CostHold }>): void {
    const { dispatch, log } = this.#options;
    const next = new Map(wanted.map((hold) => [`${hold.reason} ${hold.provider}`, hold]));
    const { atMs } = this.#usage.snapshot();
    for (const [key, { provider, reason }] of next) {
      if (this.#holds.has(key)) continue;
      const forMs = (reason === 'quota' ? dayEndMs(atMs) : monthEndMs(atMs)) - atMs;
      log.warn({ event: 'cost.hold', provider, reason, forHours: Math.ceil(forMs / 3_600_000) });
      dispatch({ kind: 'hold', provider, reason });
    }
    for (const [key, { provider, reason }] of this.#holds) {
      if (next.has(key)) continue;
      log.info({ event: 'cost.release', provider, reason });
      dispatch({ kind: 'release', provider, reason });
    }
    this.#holds = next;
  }

  #announce(state: BudgetState, spentUsd: number): void {
    if (state === this.#budget) return;
    this.#budget = state;
    this.#options.dispatch({ kind: 'thrift', on: state === 'alert' || state === 'spent' });
    if (state !== 'alert' && state !== 'spent') return;
    const { budget, on_budget: onBudget } = this.#cost;
    const event = state === 'alert' ? 'cost.budget_alert' : 'cost.budget_spent';
    this.#options.log.warn({ event, spentUsd: Number(spentUsd.toFixed(4)), budgetUsd: budget, onBudget });
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    this.#writtenMs = this.#options.clock.monoMs();
    try {
      const { file, gateway = null } = this.#options;
      await writeUsageFile(file, this.#usage.snapshot(), gateway);
      this.#writeFails = false;
    } catch (error) {
      this.#changed = true;
      if (!this.#writeFails) {
        this.#options.log.error({ event: 'cost.usage_file_not_written', error: errorText(error) });
      }
      this.#writeFails = true;
    }
  }
}

function sizesOf(message: OutboundEnvelope, topicPrefix: string): EnvelopeSizes {
  return {
    payloadBytes: message.bytes.length,
    topicBytes: Buffer.byteLength(`${topicPrefix}/${message.gateway}/${message.stream}`),
    propertyBytes: propertyBytes(message.properties),
  };
}
