/** The core's state in the form of `headgate explain` and `headgate status`. */
import type { ScoreInputs, ScoreParts } from '../../../shared/scoring/inputs.ts';
import { assess } from './assess.ts';
import { waitMs } from './choose.ts';
import type { HealthKind } from './health.ts';
import { hedgeDelayMs } from './hedge.ts';
import { flapPenaltyMs } from './provider.ts';
import type { HealthReason, HoldReason, Refusal } from './reasons.ts';
import { TRIAL_SAMPLES } from './signs.ts';
import { type RoutingState, type StreamState, streamNamed } from './state.ts';
import { successRate } from './window.ts';

export interface ProviderExplanation {
  provider: string;
  /** Whether the stream uses the provider now. */
  chosen: boolean;
  /** 1 for the provider that is asked first; null when it is not eligible. */
  rank: number | null;
  /** Share of the stream's envelopes that go to it first; with several copies, share of each copy. */
  share: number;
  eligible: boolean;
  refusals: Refusal[];
  /** Position in preferred_providers from 1; null when the provider is not listed. */
  preference: number | null;
  score: number;
  /** The score that it competes with: lower than the score while it is degraded. */
  standing: number;
  parts: ScoreParts;
  inputs: ScoreInputs;
  health: HealthKind;
  healthReason: HealthReason;
  /** Progress of its trial after an outage; null when it is not on trial. */
  trial: { tries: number; accepted: number; triesNeeded: number } | null;
  holds: readonly HoldReason[];
  /** Milliseconds until dwell and flap penalty allow the stream to move there by choice. */
  waitMs: number;
  /** Milliseconds after which an unanswered live envelope is hedged; null: never. */
  hedgeDelayMs: number | null;
}

export interface ProviderStatus {
  provider: string;
  health: HealthKind;
  reason: HealthReason;
  /** Monotonic milliseconds. */
  sinceMs: number;
  holds: readonly HoldReason[];
  /** Monotonic milliseconds; null when the breaker is not open. */
  openUntilMs: number | null;
  /** Of the sliding window; null without samples. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  successRate: number | null;
  tries: number;
  /** The usual p95; null with few samples. */
  baselineP95Ms: number | null;
  flapPenaltyMs: number;
}

/**
 * Every provider from the stream's view, in the order of the configuration; empty for a stream that is not in
 * the policy.
 */
export function explain(state: RoutingState, streamName: string): ProviderExplanation[] {
  const stream = streamNamed(state, streamName);
  if (!stream) return [];
  return assess(state, stream).map((assessment) => {
    const { provider, scored, preference } = assessment;
    const { name } = provider.facts;
    const position = stream.ranked.indexOf(name);
    return {
      provider: name,
      chosen: stream.chosen === name,
      rank: position === -1 ? null : position + 1,
      share: shareOf(stream, name),
      eligible: assessment.eligible,
      refusals: assessment.refusals,
      preference: Number.isFinite(preference) ? preference + 1 : null,
      score: scored.score,
      standing: assessment.standing,
      parts: scored.parts,
      inputs: scored.inputs,
      health: provider.health.kind,
      healthReason: provider.health.reason,
      trial: provider.onTrial
        ? { tries: provider.window.tries, accepted: provider.window.accepted, triesNeeded: TRIAL_SAMPLES }
        : null,
      holds: provider.holds,
      hedgeDelayMs: hedgeDelayMs(provider, state.policy, stream.policy.envelope_bytes),
      waitMs:
        stream.chosen === name
          ? 0
          : waitMs(state, stream, assessment, { nowMs: state.nowMs, policyChanged: false }),
    };
  });
}

function shareOf({ ranked, shares, policy }: StreamState, name: string): number {
  const part = shares.find(({ provider }) => provider === name)?.part ?? 0;
  const isCopy = policy.redundancy > 1 && ranked.slice(0, policy.redundancy).includes(name);
  return isCopy ? 1 : part;
}

export function providerStatus(state: RoutingState): ProviderStatus[] {
  return state.providers.map((provider) => {
    const { facts, health, window } = provider;
    return {
      provider: facts.name,
      health: health.kind,
      reason: health.reason,
      sinceMs: health.sinceMs,
      holds: provider.holds,
      openUntilMs: health.kind === 'open' ? health.untilMs : null,
      latencyP50Ms: window.latencyP50Ms,
      latencyP95Ms: window.latencyP95Ms,
      successRate: successRate(window),
      tries: window.tries,
      baselineP95Ms: provider.baseline?.p95Ms ?? null,
      flapPenaltyMs: flapPenaltyMs(provider, state.policy.failover, state.nowMs),
    };
  });
}
