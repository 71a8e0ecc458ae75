/** Adds up the results of a replay. Pure (I11). */
import type { StreamReplay } from '../../shared/admin-api/simulation.ts';
import { candidates, type Effect, type RoutingState, sharesOf } from '../routing/core/core.ts';

interface StreamTally {
  usedMs: Map<string, number>;
  nowhereMs: number;
  onlyOneMs: number;
  switches: Map<string, number>;
  records: number;
  mostWaiting: number;
}

const NOBODY: ReadonlySet<string> = new Set();

export class Tally {
  ms = 0;
  /** Time during which any stream had no provider, or at most one. */
  nowhereMs = 0;
  atRiskMs = 0;
  readonly #streams = new Map<string, StreamTally>();

  constructor(streams: readonly string[]) {
    for (const name of streams) {
      this.#streams.set(name, {
        usedMs: new Map(),
        nowhereMs: 0,
        onlyOneMs: 0,
        switches: new Map(),
        records: 0,
        mostWaiting: 0,
      });
    }
  }

  /** `state` was in force for `ms`. */
  passed(state: RoutingState, ms: number): void {
    let fewest = Number.POSITIVE_INFINITY;
    for (const { name, policy } of state.streams) {
      const tally = this.#streams.get(name);
      if (!tally) continue;
      const eligible = candidates(state, name, NOBODY);
      const used =
        policy.redundancy > 1
          ? eligible.slice(0, policy.redundancy).map((provider) => ({ provider, part: 1 }))
          : sharesOf(state, name);
      for (const { provider, part } of used)
        tally.usedMs.set(provider, (tally.usedMs.get(provider) ?? 0) + ms * part);
      if (eligible.length === 0) tally.nowhereMs += ms;
      if (eligible.length === 1) tally.onlyOneMs += ms;
      fewest = Math.min(fewest, eligible.length);
    }
    this.ms += ms;
    if (fewest === 0) this.nowhereMs += ms;
    if (fewest <= 1) this.atRiskMs += ms;
  }

  effect(effect: Effect): void {
    if (effect.kind !== 'switch' || effect.from === null) return;
    const switches = this.#streams.get(effect.stream)?.switches;
    switches?.set(effect.reason, (switches.get(effect.reason) ?? 0) + 1);
  }

  carried(stream: string, records: number, waiting: number): void {
    const tally = this.#streams.get(stream);
    if (!tally) return;
    tally.records += records;
    tally.mostWaiting = Math.max(tally.mostWaiting, Math.round(waiting));
  }

  streams(recordedSwitches: ReadonlyMap<string, number>): StreamReplay[] {
    return [...this.#streams].map(([stream, tally]) => ({
      stream,
      shares: Object.fromEntries([...tally.usedMs].map(([provider, ms]) => [provider, ms / this.ms])),
      records: Math.round(tally.records),
      mostWaiting: tally.mostWaiting,
      nowhereMs: Math.round(tally.nowhereMs),
      onlyOneMs: Math.round(tally.onlyOneMs),
      switches: Object.fromEntries(tally.switches),
      recordedSwitches: recordedSwitches.get(stream) ?? 0,
    }));
  }
}
