/** Common columns of `explain` and `explain --at`: a score with its parts, and the inputs of the parts. */
import type { ExplainedInputs } from '../../shared/admin-api/explanation.ts';
import type { ScoreParts } from '../../shared/scoring/inputs.ts';
import { percentText, spanText } from '../format.ts';

interface Score {
  score: number;
  standing: number;
  parts: ScoreParts;
}

export const INPUT_HEADINGS = [
  'USD PER ENVELOPE',
  'P50',
  'P95',
  'SAMPLES',
  'EXPECTED',
  'GOODPUT',
  'ACCEPTED',
  'SLA',
  'CERTIFICATIONS',
];

export function verdictText(refusals: readonly string[], chosen: boolean): string {
  return refusals.length > 0 ? `refused: ${refusals.join(', ')}` : chosen ? 'chosen' : 'eligible';
}

export function scoreHeadings(weights: ScoreParts | null): string[] {
  const weight = (name: keyof ScoreParts): string =>
    `${name.toUpperCase()} ×${weights ? weights[name].toFixed(2) : '?'}`;
  return [
    'SCORE',
    'STANDING',
    weight('cost'),
    weight('performance'),
    weight('compliance'),
    weight('reliability'),
  ];
}

export function scoreCells({ score, standing, parts }: Score): string[] {
  const { cost, performance, compliance, reliability } = parts;
  return [score, standing, cost, performance, compliance, reliability].map((value) => value.toFixed(3));
}

export function inputCells(input: ExplainedInputs): string[] {
  return [
    input.envelopeCostUsd.toFixed(8),
    spanText(input.latencyP50Ms),
    spanText(input.latencyP95Ms),
    String(input.latencySamples),
    spanText(input.latencyPriorMs),
    percentText(input.goodput),
    `${input.accepted} of ${input.tries}`,
    `${input.slaPercent.toFixed(2)}%`,
    `${input.certificationsHeld} of ${input.certificationsRequired}`,
  ];
}
