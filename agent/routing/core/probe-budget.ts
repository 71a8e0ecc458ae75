/**
 * The budget of probes. Each provider has an account that is paid off evenly over the month. A probe adds its
 * price by the tariff, time pays it off, and while more than a day's share is owed, no probe is due. So 31
 * days never cost more than `cost.probe_budget`, and the savings of a quiet week cannot be spent in an hour.
 *
 * Probes that look for the beginning or the end of an outage have a minimum rate independent of the budget: a
 * provider that is not probed never comes back, and the records that wait for it are worth more than a
 * fraction of a cent.
 */

import type { Policy } from '../../../shared/policy/policy.ts';
import { type EnvelopeSizes, envelopeCostUsd, tariffOf } from '../../../shared/pricing/metering.ts';
import { isUp } from './health.ts';
import type { ProbeAccount, ProviderState } from './state.ts';

/**
 * Approximate size of a heartbeat with topic and properties: one unit at every provider that bills by units.
 */
const PROBE_SIZES: EnvelopeSizes = { payloadBytes: 150, topicBytes: 60, propertyBytes: 130 };
const MONTH_MS = 31 * 86_400_000;
/** Share of the budget that may be owed at once: a day's share. Time pays off the rest within the month. */
const AT_ONCE = 1 / 31;
/** Twelve probes a minute: enough for a trial, which needs ten in the last minute. */
const FLOOR_MS = 5000;

/** Price of one more probe; 0 within a free allotment, or where a fee covers it. */
function probeUsd({ facts, unitsThisMonth }: ProviderState): number {
  return envelopeCostUsd(tariffOf(facts), PROBE_SIZES, unitsThisMonth);
}

/** The amount owed at `nowMs`. */
export function owedUsd({ owedUsd, atMs }: ProbeAccount, cost: Policy['cost'], nowMs: number): number {
  const paidUsd = (cost.probe_budget * (1 - AT_ONCE) * (nowMs - atMs)) / MONTH_MS;
  return Math.max(0, owedUsd - paidUsd);
}

/** Whether the budget allows a probe that is due. */
export function affords(provider: ProviderState, cost: Policy['cost'], nowMs: number): boolean {
  const priceUsd = probeUsd(provider);
  if (priceUsd === 0) return true;
  if (owedUsd(provider.probes, cost, nowMs) + priceUsd <= cost.probe_budget * AT_ONCE) return true;
  const { health, onTrial, lastTryMs } = provider;
  const isSuspect = isUp(health) && health.failures > 0;
  return (health.kind === 'probing' || onTrial || isSuspect) && nowMs - (lastTryMs ?? 0) >= FLOOR_MS;
}

/** The account after a probe: its price is owed, whether it will be billed or not. */
export function charged(provider: ProviderState, cost: Policy['cost'], nowMs: number): ProbeAccount {
  return { owedUsd: owedUsd(provider.probes, cost, nowMs) + probeUsd(provider), atMs: nowMs };
}
