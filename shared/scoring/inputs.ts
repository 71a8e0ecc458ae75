/** The inputs of a score. */

export interface ScoreWeights {
  cost: number;
  performance: number;
  compliance: number;
  reliability: number;
}

/** Each in [0, 1]; more is better. */
export type ScoreParts = ScoreWeights;

/** Measurements of the provider in the sliding window. */
export interface Measurements {
  /** Tries that were accepted. */
  accepted: number;
  /** Tries that were accepted or failed; throttled tries count as neither. */
  tries: number;
  /** Accepted tries with a latency sample: those of live size, because large ones measure the uplink. */
  latencySamples: number;
  /** Acknowledgement latency; null without samples. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  /** Bytes accepted ÷ bytes offered (throttled ones count as offered); 1 when nothing was offered. */
  goodput: number;
}

export interface ScoreInputs {
  provider: string;
  /** The cheapest eligible provider sets the scale of the cost part. */
  eligible: boolean;
  /** Marginal cost of one envelope at present. */
  envelopeCostUsd: number;
  /** Prior of the acknowledgement latency while samples are few. */
  latencyPriorMs: number;
  measured: Measurements;
  slaPercent: number;
  certifications: readonly string[];
  requiredCertifications: readonly string[];
  /** Whether the provider's region is in the stream's zone; null for a stream without one. */
  insideResidency: boolean | null;
  /** Used by the reference form only. */
  monthlyCostUsd: number;
  throughputMbps: number;
}

/** Share of the required certifications that are held; 1 without requirements. */
export function certificationShare({ certifications, requiredCertifications }: ScoreInputs): number {
  if (requiredCertifications.length === 0) return 1;
  const held = requiredCertifications.filter((name) => certifications.includes(name));
  return held.length / requiredCertifications.length;
}
