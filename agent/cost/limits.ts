/**
 * Which providers may not be used for money's sake. Pure (I11).
 *
 * A quota ends in refusals that nobody announces (IoT Hub over MQTT goes silent, then cuts the connection),
 * so the provider is put on hold a little before, until the UTC day is over. What may have been billed
 * counts.
 *
 * A budget is the operator's word: at its end, whatever costs something waits for the next month (I3: in the
 * buffer, by its rules). A provider whose next envelope costs nothing (a hub within its quota, a free
 * allotment, a broker of one's own) goes on: holding it would save nothing. Neither opens a gate: residency
 * holds as before (I4).
 */

import type { Policy } from '../../shared/policy/policy.ts';
import { envelopeCostUsd, fixedUsdPerMonth, unitsPerDay } from '../../shared/pricing/metering.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { Amount } from './usage.ts';

export type CostHold = 'quota' | 'budget';

export interface ProviderUse {
  provider: string;
  tariff: Tariff;
  today: Amount;
  month: Amount;
}

export type BudgetState = 'none' | 'within' | 'alert' | 'spent';

interface Limits {
  /** In the order of the providers; none for most. */
  holds: ReadonlyArray<{ provider: string; reason: CostHold }>;
  budget: BudgetState;
  /** Of this month: what was metered, and the fixed fees of the whole month. */
  spentUsd: number;
}

/** Share of the daily quota at which the provider is held: the rest is for what is under way. */
const QUOTA_SHARE = 0.99;
/** What the next envelope is taken to be like: a live one. */
const NEXT_ENVELOPE = { payloadBytes: 4000, topicBytes: 0, propertyBytes: 0 };

export function limitsOf(uses: readonly ProviderUse[], cost: Policy['cost']): Limits {
  const spentUsd = uses.reduce((sum, { month, tariff }) => sum + month.usd + fixedUsdPerMonth(tariff), 0);
  const budget = budgetState(spentUsd, cost);
  const holds = uses.flatMap(({ provider, ...use }) => {
    const reasons: CostHold[] = [];
    if ((quotaUsed(use) ?? 0) >= QUOTA_SHARE) reasons.push('quota');
    const holdsMoney = budget === 'spent' && cost.on_budget === 'hold';
    if (holdsMoney && envelopeCostUsd(use.tariff, NEXT_ENVELOPE, use.month.units) > 0) reasons.push('budget');
    return reasons.map((reason) => ({ provider, reason }));
  });
  return { holds, budget, spentUsd };
}

/** Share of the day's quota that is used, what may have been billed included; null: it has none. */
export function quotaUsed({ tariff, today }: Pick<ProviderUse, 'tariff' | 'today'>): number | null {
  const quota = unitsPerDay(tariff);
  return quota === null ? null : (today.units + today.possibleUnits) / quota;
}

function budgetState(spentUsd: number, { budget, alert_threshold }: Policy['cost']): BudgetState {
  if (budget === undefined) return 'none';
  if (spentUsd >= budget) return 'spent';
  return spentUsd >= budget * alert_threshold ? 'alert' : 'within';
}
