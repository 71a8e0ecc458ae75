/**
 * The reference form of the score's parts, so that a policy written for the reference model makes the same
 * choices.
 *
 *   cost         max(0, 1 − monthlyCost / 10000)
 *   performance  mean(1 − latencyMs / 1000, min(throughputMbps / 1000, 1))
 *   compliance   1 or 0 when a residency is asked (inside it or not), else |held ∩ required| / |required|
 *   reliability  sla / 100
 *
 * A latency above 1 s would make the performance part negative; like every part it is at least 0. The latency
 * is the measured median once there is one.
 */
import { certificationShare, type ScoreInputs, type ScoreParts } from './inputs.ts';

const COST_SCALE_USD = 10_000;
const LATENCY_SCALE_MS = 1000;
const THROUGHPUT_SCALE_MBPS = 1000;

export function referenceParts(input: ScoreInputs): ScoreParts {
  const latencyMs = input.measured.latencyP50Ms ?? input.latencyPriorMs;
  const quickness = 1 - latencyMs / LATENCY_SCALE_MS;
  const throughput = Math.min(input.throughputMbps / THROUGHPUT_SCALE_MBPS, 1);
  return {
    cost: Math.max(0, 1 - input.monthlyCostUsd / COST_SCALE_USD),
    performance: Math.max(0, (quickness + throughput) / 2),
    compliance: input.insideResidency === null ? certificationShare(input) : Number(input.insideResidency),
    reliability: input.slaPercent / 100,
  };
}
