/**
 * Holds for cost reasons: quotas and the budget. Pure (I11).
 *
 * IoT Hub over MQTT does not announce an exhausted quota (it stops acknowledging, then cuts the connection).
 * So the provider is put on hold slightly before its quota is used up, until the UTC day ends. Units that may
 * have been billed count too.
 *
 * At the end of the budget, providers with a marginal cost wait for the next month; their records stay in the
 * buffer by its rules (I3). A provider whose next envelope costs nothing (a hub within its quota, a free
 * allotment, a private broker) goes on: holding it would save nothing. A cost limit never opens a gate:
 * residency holds as before (I4).
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
  /** In the order of the providers; most providers have none. */
  holds: ReadonlyArray<{ provider: string; reason: CostHold }>;
  budget: BudgetState;
  /** USD of this month: the metered amount, and the fixed fees of the whole month. */
  spentUsd: number;
}

/** The provider is held at this share of its daily quota. The rest is for envelopes under way. */
const QUOTA_SHARE = 0.99;
/** The assumed next envelope: a live one. */
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

/** Used share of the day's quota, including units that may have been billed; null without a quota. */
export function quotaUsed({ tariff, today }: Pick<ProviderUse, 'tariff' | 'today'>): number | null {
  const quota = unitsPerDay(tariff);
  return quota === null ? null : (today.units + today.possibleUnits) / quota;
}

function budgetState(spentUsd: number, { budget, alert_threshold }: Policy['cost']): BudgetState {
  if (budget === undefined) return 'none';
  if (spentUsd >= budget) return 'spent';
  return spentUsd >= budget * alert_threshold ? 'alert' : 'within';
}
