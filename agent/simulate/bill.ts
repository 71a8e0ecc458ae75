/** The bill of a replay, by the meter's own rules, and the holds that follow from it. Pure (I11). */

import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import { billedUnits, type EnvelopeSizes, envelopeCostUsd, tariffOf } from '../../shared/pricing/metering.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import { type CostHold, limitsOf } from '../cost/limits.ts';
import { mayBeBilled } from '../cost/possible.ts';
import { type Amount, NO_AMOUNT, sumOf, Usage } from '../cost/usage.ts';
import type { Outcome } from '../providers/publisher.ts';

export interface Hold {
  provider: string;
  reason: CostHold;
}

export class Bill {
  readonly #tariffs: ReadonlyMap<string, Tariff>;
  readonly #cost: Policy['cost'];
  readonly #usage: Usage;
  readonly #totals = new Map<string, Amount>();

  /** `nowMs`: wall-clock milliseconds, here and below. The month begins with nothing used. */
  constructor(providers: readonly ProviderFacts[], cost: Policy['cost'], nowMs: number) {
    this.#tariffs = new Map(providers.map((facts) => [facts.name, tariffOf(facts)]));
    this.#cost = cost;
    this.#usage = new Usage({ atMs: nowMs, dated: true, sinceMs: nowMs, entries: [] }, nowMs);
  }

  /** Counts `count` tried envelopes of these sizes. */
  add(provider: string, stream: string, sizes: EnvelopeSizes, count: number, outcome: Outcome): void {
    const tariff = this.#tariffs.get(provider);
    if (!tariff || (outcome.kind !== 'accepted' && !mayBeBilled(tariff, outcome))) return;
    const units = billedUnits(tariff, sizes) * count;
    const usd = envelopeCostUsd(tariff, sizes, this.#usage.of(provider).month.units) * count;
    const amount: Amount =
      outcome.kind === 'accepted'
        ? { ...NO_AMOUNT, units, usd }
        : { ...NO_AMOUNT, possibleUnits: units, possibleUsd: usd };
    this.#usage.add(provider, stream, amount);
    this.#totals.set(provider, sumOf([this.of(provider), amount]));
  }

  /** The amount over the whole replay. */
  of(provider: string): Amount {
    return this.#totals.get(provider) ?? NO_AMOUNT;
  }

  /** Advances the time to `nowMs`; returns this month's units and the holds. */
  at(nowMs: number): { holds: readonly Hold[]; units: ReadonlyMap<string, number> } {
    this.#usage.advance({ monoMs: nowMs, wallMs: nowMs, synchronised: true });
    const uses = [...this.#tariffs].map(([provider, tariff]) => ({
      provider,
      tariff,
      ...this.#usage.of(provider),
    }));
    const units = new Map(uses.map(({ provider, month }) => [provider, month.units]));
    return { holds: limitsOf(uses, this.#cost).holds, units };
  }
}
