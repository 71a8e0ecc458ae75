/**
 * The part of routing's state that must survive a restart: open breakers and their remaining pauses, trials,
 * flapping, and the provider of each stream. Without it, an agent that restarts during an outage sends its
 * first envelopes into the outage, and an agent that restarts repeatedly returns to a flapping provider each
 * time.
 *
 * Monotonic time does not survive a boot, so the memory holds ages and remainders, never instants (I7). It
 * does not include holds, which their owners store (agent/cost, agent/holds), nor the sliding windows, which
 * describe the path before the restart.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import { ASKED_PAUSE_MS_MAX, type Health, type HealthKind, healthyAt, isUp } from './health.ts';
import { owedUsd } from './probe-budget.ts';
import type { ProviderState, RoutingState, StreamState } from './state.ts';

/** Times in milliseconds. */
interface ProviderMemory {
  name: string;
  health: HealthKind;
  /** Whether the provider asked for a pause. */
  throttled: boolean;
  /** Time in this health state. */
  forMs: number;
  /**
   * The rest of the pause, and the pause that the next failed probe doubles; 0 when the breaker is closed.
   */
  restMs: number;
  pauseMs: number;
  onTrial: boolean;
  /** Ages of recent openings of its breaker, newest last. */
  openedMs: number[];
  typicalLatencyMs: number;
  usualP95Ms: number | null;
  /** Cost of its probes that is not paid off yet: a restart begins no new month. */
  probesOwedUsd: number;
}

export interface RoutingMemory {
  providers: ProviderMemory[];
  streams: Array<{ name: string; chosen: string | null; forMs: number }>;
}

export function memoryOf({ policy, providers, streams, nowMs }: RoutingState): RoutingMemory {
  return {
    providers: providers.map(({ facts, health, baseline, ...state }) => ({
      name: facts.name,
      health: health.kind,
      throttled: health.reason === 'throttled',
      forMs: nowMs - health.sinceMs,
      restMs: health.kind === 'open' ? Math.max(0, health.untilMs - nowMs) : 0,
      pauseMs: isUp(health) ? 0 : health.pauseMs,
      onTrial: state.onTrial,
      openedMs: state.opensMs.map((atMs) => nowMs - atMs),
      typicalLatencyMs: state.typicalLatencyMs,
      usualP95Ms: baseline?.p95Ms ?? null,
      probesOwedUsd: owedUsd(state.probes, policy.cost, nowMs),
    })),
    streams: streams.map(({ name, chosen, sinceMs }) => ({ name, chosen, forMs: nowMs - sinceMs })),
  };
}

/**
 * The state of a provider `elapsedMs` after the memory was taken, at `nowMs`. Its window is empty: it must
 * prove itself before a stream moves to it by choice.
 */
export function recalledProvider(
  fresh: ProviderState,
  { providers }: RoutingMemory,
  policy: Policy,
  nowMs: number,
  elapsedMs: number,
): ProviderState {
  const known = providers.find(({ name }) => name === fresh.facts.name);
  if (!known) return fresh;
  const { onTrial, typicalLatencyMs, usualP95Ms } = known;
  return {
    ...fresh,
    health: recalledHealth(known, policy, nowMs, elapsedMs),
    onTrial,
    typicalLatencyMs,
    baseline: usualP95Ms === null ? null : { p95Ms: usualP95Ms, atMs: nowMs },
    probes: { owedUsd: known.probesOwedUsd, atMs: nowMs - elapsedMs },
    opensMs: known.openedMs.map((agoMs) => nowMs - elapsedMs - agoMs),
  };
}

/** The stream's provider at that time, if it still exists; its eligibility is checked afterwards. */
export function recalledStream(
  fresh: StreamState,
  { streams }: RoutingMemory,
  providers: readonly ProviderState[],
  nowMs: number,
  elapsedMs: number,
): StreamState {
  const known = streams.find(({ name }) => name === fresh.name);
  if (!known || !providers.some(({ facts }) => facts.name === known.chosen)) return fresh;
  return { ...fresh, chosen: known.chosen, sinceMs: nowMs - elapsedMs - known.forMs, started: true };
}

function recalledHealth(
  { health, throttled, forMs, restMs, pauseMs }: ProviderMemory,
  { failover }: Policy,
  nowMs: number,
  elapsedMs: number,
): Health {
  const sinceMs = nowMs - elapsedMs - forMs;
  const reason = throttled ? 'throttled' : 'restored';
  const pause = { pauseMs: Math.min(Math.max(pauseMs, failover.open_for), failover.open_max) };
  switch (health) {
    case 'healthy':
      return healthyAt(sinceMs, reason);
    case 'degraded':
      return { ...healthyAt(sinceMs, reason), kind: 'degraded' };
    case 'open': {
      const bound = Math.max(failover.open_max, throttled ? ASKED_PAUSE_MS_MAX : 0);
      const leftMs = Math.min(Math.max(0, restMs - elapsedMs), bound);
      return { kind: 'open', sinceMs, reason, untilMs: nowMs + leftMs, ...pause };
    }
    case 'probing':
      return { kind: 'probing', sinceMs, reason, proofs: 0, nextProbeMs: nowMs, ...pause };
  }
}
