/** The inputs of a score in the form of `explain`. */
import type { ExplainedInputs } from '../../shared/admin-api/explanation.ts';
import type { ScoreInputs } from '../../shared/scoring/inputs.ts';

export function explainedInputs({
  measured,
  certifications,
  requiredCertifications,
  ...inputs
}: ScoreInputs): ExplainedInputs {
  const { latencyP50Ms, latencyP95Ms, latencySamples, goodput, accepted, tries } = measured;
  return {
    envelopeCostUsd: inputs.envelopeCostUsd,
    latencyP50Ms,
    latencyP95Ms,
    latencySamples,
    latencyPriorMs: inputs.latencyPriorMs,
    goodput,
    accepted,
    tries,
    slaPercent: inputs.slaPercent,
    certificationsHeld: requiredCertifications.filter((name) => certifications.includes(name)).length,
    certificationsRequired: requiredCertifications.length,
  };
}
