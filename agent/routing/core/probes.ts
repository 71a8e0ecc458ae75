/** When a provider is probed. */
import type { Policy } from '../../../shared/policy/policy.ts';
import { isHeldFirmly } from './eligibility.ts';
import { affords, charged } from './probe-budget.ts';
import { TRIAL_SAMPLES } from './signs.ts';
import type { ProviderState } from './state.ts';

/** A provider that just failed is asked again soon, lest a quiet stream take a minute to notice an outage. */
const SUSPECT_PROBE_MS = 1000;
/** Often enough to see within seconds that a degraded standby is well again. */
const DEGRADED_PROBE_MS = 10_000;
/**
 * Since the last answer. With ticks of 100 ms a trial of forty takes eight seconds of a dwell that is ten by
 * default.
 */
const TRIAL_PROBE_MS = 100;
/** A probe whose outcome is this long overdue is lost: another may go. */
const PROBE_OVERDUE_MS = 1000;

/**
 * Whether a heartbeat should go there now: to close a breaker, to check a suspect, or to know an idle
 * provider's health.
 */
export function probeDue(provider: ProviderState, { failover, cost }: Policy, nowMs: number): boolean {
  return isDue(provider, failover, nowMs) && (provider.lastTryMs === null || affords(provider, cost, nowMs));
}

function isDue(provider: ProviderState, failover: Policy['failover'], nowMs: number): boolean {
  const { health, probeSentMs, lastTryMs } = provider;
  if (isHeldFirmly(provider)) return false;
  if (probeSentMs !== null && nowMs - probeSentMs < failover.deadline_max + PROBE_OVERDUE_MS) return false;
  switch (health.kind) {
    case 'open':
      return false;
    case 'probing':
      return nowMs >= health.nextProbeMs;
    case 'healthy':
    case 'degraded': {
      if (lastTryMs === null) return true;
      const periods = [failover.standby_probe];
      if (health.kind === 'degraded') periods.push(DEGRADED_PROBE_MS);
      if (health.failures > 0) periods.push(SUSPECT_PROBE_MS);
      if (provider.onTrial) periods.push(trialPeriodMs(provider));
      return nowMs - lastTryMs >= Math.min(...periods);
    }
  }
}

/** A trial that was long enough and is not passed goes on, but slowly: probes are billed. */
function trialPeriodMs({ window }: ProviderState): number {
  return window.tries < TRIAL_SAMPLES ? TRIAL_PROBE_MS : DEGRADED_PROBE_MS;
}

export function probeSent(provider: ProviderState, { cost }: Policy, nowMs: number): ProviderState {
  const probes = charged(provider, cost, nowMs);
  return { ...provider, probes, probeSentMs: nowMs, lastTryMs: nowMs };
}
