/**
 * Chooses the provider of a stream. The stream moves at once when its provider becomes ineligible. It moves
 * by choice only to a provider that is clearly better (earlier in preferred_providers, or ahead by the
 * margin) and proven: healthy, without a pending failure, past its trial after an outage, and healthy for the
 * dwell plus its flap penalty. This is make before break, and it prevents flip-flop: neither noise in the
 * score nor a flapping provider can often meet all of these conditions.
 */
import type { Assessment } from './assess.ts';
import { flapPenaltyMs } from './provider.ts';
import type { Refusal, SwitchReason } from './reasons.ts';
import type { RoutingState, StreamState } from './state.ts';

export interface Choice {
  to: string | null;
  reason: SwitchReason;
}

/** `policyChanged`: the operator asked for another order, so the dwell does not delay the move. */
export interface Occasion {
  nowMs: number;
  policyChanged: boolean;
}

/** The provider that the stream moves to; null when it stays. */
export function choose(
  state: RoutingState,
  stream: StreamState,
  assessments: readonly Assessment[],
  occasion: Occasion,
): Choice | null {
  const current = assessments.find(({ provider }) => provider.facts.name === stream.chosen);
  if (current?.eligible) return chooseBetter(state, stream, current, assessments, occasion);
  const best = [...assessments].filter(({ eligible }) => eligible).sort(byRank)[0];
  const to = best?.provider.facts.name ?? null;
  if (to === stream.chosen) return null;
  if (current) return { to, reason: lossReason(current.refusals) };
  return { to, reason: stream.started ? 'recovered' : 'start' };
}

/** The eligible providers, best first: the chosen one, then by preference and score. */
export function rank(
  state: RoutingState,
  stream: StreamState,
  chosen: string | null,
  assessments: readonly Assessment[],
): string[] {
  // The providers of the present copies keep their places until another leads by the margin, so that copies
  // do not move without need.
  const incumbents = stream.ranked.slice(0, stream.policy.redundancy);
  const steadied = assessments
    .filter(({ eligible }) => eligible)
    .map((assessment) => {
      const { name } = assessment.provider.facts;
      const bonus = incumbents.includes(name) ? state.policy.failover.margin : 0;
      return { ...assessment, standing: assessment.standing + bonus };
    });
  const names = steadied.sort(byRank).map(({ provider }) => provider.facts.name);
  return chosen === null ? names : [chosen, ...names.filter((name) => name !== chosen)];
}

/** Milliseconds until dwell and penalty allow the stream to move to this provider by choice; 0: now. */
export function waitMs(
  state: RoutingState,
  stream: StreamState,
  candidate: Assessment,
  occasion: Occasion,
): number {
  const { failover } = state.policy;
  const { provider } = candidate;
  const penaltyMs = flapPenaltyMs(provider, failover, occasion.nowMs);
  const sinceMs = occasion.policyChanged
    ? provider.health.sinceMs
    : Math.max(stream.sinceMs, provider.health.sinceMs);
  const neededMs = penaltyMs + (occasion.policyChanged ? 0 : failover.dwell);
  return Math.max(0, sinceMs + neededMs - occasion.nowMs);
}

function chooseBetter(
  state: RoutingState,
  stream: StreamState,
  current: Assessment,
  assessments: readonly Assessment[],
  occasion: Occasion,
): Choice | null {
  const [best] = assessments
    .filter((other) => other !== current && other.eligible && isProven(other))
    .filter((other) => isBetter(other, current, state.policy.failover.margin))
    .filter((other) => waitMs(state, stream, other, occasion) === 0)
    .sort(byRank);
  if (!best) return null;
  const to = best.provider.facts.name;
  if (occasion.policyChanged) return { to, reason: 'policy' };
  if (best.preference < current.preference) return { to, reason: 'preferred' };
  return { to, reason: current.provider.health.kind === 'degraded' ? 'degraded' : 'score' };
}

function isProven({ provider }: Assessment): boolean {
  return (
    provider.health.kind === 'healthy' &&
    provider.health.failures === 0 &&
    provider.proven &&
    !provider.onTrial
  );
}

function isBetter(other: Assessment, current: Assessment, margin: number): boolean {
  if (other.preference !== current.preference) return other.preference < current.preference;
  return other.standing > current.standing + margin;
}

function byRank(a: Assessment, b: Assessment): number {
  if (a.preference !== b.preference) return a.preference - b.preference;
  if (a.standing !== b.standing) return b.standing - a.standing;
  return a.provider.facts.priority - b.provider.facts.priority;
}

function lossReason(refusals: readonly Refusal[]): SwitchReason {
  const [first = 'hold'] = refusals;
  return first === 'open' || first === 'probing' ? 'breaker' : first;
}
