/** The schedule of probes. */
import type { Policy } from '../../../shared/policy/policy.ts';
import { isHeldFirmly } from './eligibility.ts';
import { affords, charged } from './probe-budget.ts';
import { TRIAL_SAMPLES } from './signs.ts';
import type { ProviderState } from './state.ts';

/**
 * A provider with a recent failure is probed soon; otherwise a quiet stream would take a minute to notice an
 * outage.
 */
const SUSPECT_PROBE_MS = 1000;
/** Short enough to notice within seconds that a degraded standby has recovered. */
const DEGRADED_PROBE_MS = 10_000;
/**
 * Time since the last answer. With ticks of 100 ms, a trial of forty takes eight seconds of the dwell, which
 * is ten by default.
 */
const TRIAL_PROBE_MS = 100;
/** A probe without an outcome this long after its deadline is lost: another may be sent. */
const PROBE_OVERDUE_MS = 1000;

/**
 * Whether a heartbeat is due: to close a breaker, to check a suspect, or to know an idle provider's health.
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

/** A trial that has lasted long enough without being passed goes on slowly, because probes are billed. */
function trialPeriodMs({ window }: ProviderState): number {
  return window.tries < TRIAL_SAMPLES ? TRIAL_PROBE_MS : DEGRADED_PROBE_MS;
}

export function probeSent(provider: ProviderState, { cost }: Policy, nowMs: number): ProviderState {
  const probes = charged(provider, cost, nowMs);
  return { ...provider, probes, probeSentMs: nowMs, lastTryMs: nowMs };
}
