import type { ScoreInputs } from '../../../shared/scoring/inputs.ts';

/** A provider about which only a little is known; tests override what they are about. */
export const unmeasured: ScoreInputs = {
  provider: 'aws',
  eligible: true,
  envelopeCostUsd: 1e-6,
  latencyPriorMs: 50,
  measured: {
    accepted: 0,
    tries: 0,
    latencySamples: 0,
    latencyP50Ms: null,
    latencyP95Ms: null,
    goodput: 1,
  },
  slaPercent: 99.9,
  certifications: [],
  requiredCertifications: [],
  insideResidency: null,
  monthlyCostUsd: 100,
  throughputMbps: 1000,
};
