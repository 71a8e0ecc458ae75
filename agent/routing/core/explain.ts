/** What the core knows, for people: `headgate explain` and `headgate status`. */
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
  /** The stream uses it now. */
  chosen: boolean;
  /** 1 for the first to be asked; null when it is not eligible. */
  rank: number | null;
  /** Part of the stream's envelopes that goes there first; of each, where it asks for several copies. */
  share: number;
  eligible: boolean;
  refusals: Refusal[];
  /** Position in preferred_providers from 1; null when it is not among them. */
  preference: number | null;
  score: number;
  /** What it competes with: less than the score while it is degraded. */
  standing: number;
  parts: ScoreParts;
  inputs: ScoreInputs;
  health: HealthKind;
  healthReason: HealthReason;
  /** How far its trial after an outage has come; null when it is on none. */
  trial: { tries: number; accepted: number; triesNeeded: number } | null;
  holds: readonly HoldReason[];
  /** How long dwell and flap penalty still keep the stream from moving there by choice. */
  waitMs: number;
  /** After which a live envelope that it has not answered goes to another one as well; null: it does not. */
  hedgeDelayMs: number | null;
}

export interface ProviderStatus {
  provider: string;
  health: HealthKind;
  reason: HealthReason;
  /** Monotonic. */
  sinceMs: number;
  holds: readonly HoldReason[];
  /** Monotonic; null when the breaker is not open. */
  openUntilMs: number | null;
  /** Of the sliding window; null without samples. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  successRate: number | null;
  tries: number;
  /** The p95 that is usual here; null while samples are few. */
  baselineP95Ms: number | null;
  flapPenaltyMs: number;
}

/**
 * Every provider as the stream sees it, in the order of the configuration; empty for a stream that is not in
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
