/**
 * Score of a provider for a stream: Σ weight × part. It orders the eligible providers; it never makes a
 * provider eligible (I4).
 */
import { defaultParts } from './default.ts';
import type { ScoreInputs, ScoreParts, ScoreWeights } from './inputs.ts';
import { referenceParts } from './reference.ts';

export type ScoringForm = 'default' | 'reference';

export interface ProviderScore {
  provider: string;
  /** In [0, 1] when the weights sum to 1. */
  score: number;
  parts: ScoreParts;
  inputs: ScoreInputs;
}

/** One score per provider, in the order of `inputs`. Score them together: the cost part compares them. */
export function scoreProviders(
  form: ScoringForm,
  weights: ScoreWeights,
  inputs: readonly ScoreInputs[],
): ProviderScore[] {
  return inputs.map((input) => {
    const parts = form === 'default' ? defaultParts(input, inputs) : referenceParts(input);
    return { provider: input.provider, score: weighted(weights, parts), parts, inputs: input };
  });
}

function weighted(weights: ScoreWeights, parts: ScoreParts): number {
  return (
    weights.cost * parts.cost +
    weights.performance * parts.performance +
    weights.compliance * parts.compliance +
    weights.reliability * parts.reliability
  );
}
