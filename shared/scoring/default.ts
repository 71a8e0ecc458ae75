/**
 * The default form of the score's parts.
 *
 *   cost         cheapest / own                   marginal cost of one envelope; cheapest of the eligible;
 *                                                 own 0 → 1
 *   performance  goodput × 200 / (200 + L)        L = typical acknowledgement latency in ms, see below
 *   compliance   |held ∩ required| / |required|   none required → 1; the residency is a gate, not a part
 *   reliability  (accepted + 20 × SLA) / (tries + 20)
 *
 * L is the mean of p50 and p95, so that a long tail counts, blended with one sample's weight of what is
 * expected (L = (n × (p50 + p95) / 2 + prior) / (n + 1)). The weight is small on purpose: a prior that
 * flatters an unmeasured standby would draw the traffic to it, then to the next, in turn.
 */
import { certificationShare, type ScoreInputs, type ScoreParts } from './inputs.ts';

/** Latency at which the performance part is one half. */
const HALF_PERFORMANCE_MS = 200;
const LATENCY_PRIOR_SAMPLES = 1;
/** Weight of the SLA against measurements, in tries. */
const SLA_PRIOR_SAMPLES = 20;

/** The parts of one provider, compared with `all`. */
export function defaultParts(input: ScoreInputs, all: readonly ScoreInputs[]): ScoreParts {
  const eligible = all.filter((other) => other.eligible);
  const cheapestUsd = Math.min(...eligible.map(({ envelopeCostUsd }) => envelopeCostUsd));
  return {
    cost: costPart(cheapestUsd, input.envelopeCostUsd),
    performance: performancePart(input),
    compliance: certificationShare(input),
    reliability: reliabilityPart(input),
  };
}

/**
 * `cheapestUsd` is infinite without an eligible provider. A provider that is not eligible may be cheaper than
 * the cheapest eligible one.
 */
function costPart(cheapestUsd: number, ownUsd: number): number {
  return ownUsd === 0 ? 1 : Math.min(1, cheapestUsd / ownUsd);
}

function performancePart({ measured, latencyPriorMs }: ScoreInputs): number {
  const { latencyP50Ms, latencyP95Ms, latencySamples, goodput } = measured;
  const seenMs = ((latencyP50Ms ?? latencyPriorMs) + (latencyP95Ms ?? latencyPriorMs)) / 2;
  const latencyMs =
    (latencySamples * seenMs + LATENCY_PRIOR_SAMPLES * latencyPriorMs) /
    (latencySamples + LATENCY_PRIOR_SAMPLES);
  return (goodput * HALF_PERFORMANCE_MS) / (HALF_PERFORMANCE_MS + latencyMs);
}

function reliabilityPart({ measured, slaPercent }: ScoreInputs): number {
  const expected = (SLA_PRIOR_SAMPLES * slaPercent) / 100;
  return (measured.accepted + expected) / (measured.tries + SLA_PRIOR_SAMPLES);
}
