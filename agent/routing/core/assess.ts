/** Assesses every provider for one stream: its eligibility and its score. */

import type { Policy } from '../../../shared/policy/policy.ts';
import { envelopeCostUsd, tariffOf } from '../../../shared/pricing/metering.ts';
import type { ScoreInputs } from '../../../shared/scoring/inputs.ts';
import { type ProviderScore, scoreProviders } from '../../../shared/scoring/score.ts';
import { insideResidency, refusalsOf, yields } from './eligibility.ts';
import type { Refusal } from './reasons.ts';
import type { ProviderState, RoutingState, StreamState } from './state.ts';

/**
 * A degraded provider's score is halved: the largest advantage that another part can give (0.30, for zero
 * cost) must not keep the traffic there.
 */
export const DEGRADED_FACTOR = 0.5;

export interface Assessment {
  provider: ProviderState;
  refusals: Refusal[];
  eligible: boolean;
  scored: ProviderScore;
  /** The score that it competes with: lower than `scored.score` while the provider is degraded. */
  standing: number;
  /** Position in preferred_providers; infinite when the provider is not listed. */
  preference: number;
}

/** One assessment for each provider, in the order of the configuration. */
export function assess(state: RoutingState, stream: StreamState): Assessment[] {
  const { form, weights } = state.policy.scoring;
  const standing = state.providers.map((provider) => refusalsOf(provider, stream.policy, state.policy));
  const yielding = yields(state.providers, standing, stream.policy.redundancy);
  const refusals = standing.map((own, i): Refusal[] => (yielding[i] ? [...own, 'receipt-lag'] : own));
  const inputs = state.providers.map((provider, i) =>
    inputsOf(provider, stream, state.policy, refusals[i]?.length === 0),
  );
  const scores = scoreProviders(form, weights, inputs);
  return state.providers.flatMap((provider, i) => {
    const scored = scores[i];
    const refused = refusals[i];
    if (!scored || !refused) return [];
    const factor = provider.health.kind === 'degraded' ? DEGRADED_FACTOR : 1;
    const position = stream.policy.preferred_providers.indexOf(provider.facts.name);
    return {
      provider,
      refusals: refused,
      eligible: refused.length === 0,
      scored,
      standing: scored.score * factor,
      preference: position === -1 ? Number.POSITIVE_INFINITY : position,
    };
  });
}

function inputsOf(
  provider: ProviderState,
  stream: StreamState,
  policy: Policy,
  eligible: boolean,
): ScoreInputs {
  const { facts, window } = provider;
  const tariff = tariffOf(facts);
  const { sheet } = tariff;
  // The stream's target size includes the properties.
  const sizes = { payloadBytes: stream.policy.envelope_bytes, topicBytes: 0, propertyBytes: 0 };
  return {
    provider: facts.name,
    eligible,
    envelopeCostUsd: envelopeCostUsd(tariff, sizes, provider.unitsThisMonth),
    latencyPriorMs: provider.typicalLatencyMs,
    measured: {
      accepted: window.accepted,
      tries: window.tries,
      latencySamples: window.latencySamples,
      latencyP50Ms: window.latencyP50Ms,
      latencyP95Ms: window.latencyP95Ms,
      goodput: window.goodput,
    },
    slaPercent: facts.slaPercent,
    certifications: facts.certifications,
    requiredCertifications: policy.compliance.required_certifications,
    insideResidency: insideResidency(facts, stream.policy, policy.compliance),
    monthlyCostUsd: sheet.reference.monthly_cost_usd.value,
    throughputMbps: sheet.reference.throughput_mbps.value,
  };
}
