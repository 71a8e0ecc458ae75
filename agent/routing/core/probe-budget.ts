/**
 * What probes may cost. Each provider has an account that is paid off evenly over the month: a probe adds its
 * price by the tariff, time takes away, and while more than a day's part is owed no probe is due. So no 31
 * days cost more than `cost.probe_budget`, and what a calm week did not use cannot be spent in an hour.
 *
 * Probes that look for the end of an outage, or for its beginning, keep a floor beyond the money: a provider
 * that is not asked never comes back, and the records that wait for it are worth more than the tenths of a
 * cent.
 */

import type { Policy } from '../../../shared/policy/policy.ts';
import { type EnvelopeSizes, envelopeCostUsd, tariffOf } from '../../../shared/pricing/metering.ts';
import { isUp } from './health.ts';
import type { ProbeAccount, ProviderState } from './state.ts';

/** About what a heartbeat takes with topic and properties: one unit at every provider that bills by units. */
const PROBE_SIZES: EnvelopeSizes = { payloadBytes: 150, topicBytes: 60, propertyBytes: 130 };
const MONTH_MS = 31 * 86_400_000;
/** Of the budget, what may be owed at once: a day's part. The rest is what time pays off in a month. */
const AT_ONCE = 1 / 31;
/** Twelve in a minute: enough for a trial, which asks for ten of the last minute. */
const FLOOR_MS = 5000;

/** What one more probe costs there; nothing within a free allotment, or where a fee covers it. */
function probeUsd({ facts, unitsThisMonth }: ProviderState): number {
  return envelopeCostUsd(tariffOf(facts), PROBE_SIZES, unitsThisMonth);
}

/** What is still owed at `nowMs`. */
export function owedUsd({ owedUsd, atMs }: ProbeAccount, cost: Policy['cost'], nowMs: number): number {
  const paidUsd = (cost.probe_budget * (1 - AT_ONCE) * (nowMs - atMs)) / MONTH_MS;
  return Math.max(0, owedUsd - paidUsd);
}

/** Whether a probe that is due otherwise may go. */
export function affords(provider: ProviderState, cost: Policy['cost'], nowMs: number): boolean {
  const priceUsd = probeUsd(provider);
  if (priceUsd === 0) return true;
  if (owedUsd(provider.probes, cost, nowMs) + priceUsd <= cost.probe_budget * AT_ONCE) return true;
  const { health, onTrial, lastTryMs } = provider;
  const isSuspect = isUp(health) && health.failures > 0;
  return (health.kind === 'probing' || onTrial || isSuspect) && nowMs - (lastTryMs ?? 0) >= FLOOR_MS;
}

/** A probe went: it is owed, whether it will be billed or not. */
export function charged(provider: ProviderState, cost: Policy['cost'], nowMs: number): ProbeAccount {
  return { owedUsd: owedUsd(provider.probes, cost, nowMs) + probeUsd(provider), atMs: nowMs };
}
