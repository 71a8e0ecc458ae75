/** `headgate explain`: per stream, the verdict with its parts, the state of each provider, what the parts are made of. */
import type { ExplainedCandidate, ExplainedStream, Explanation } from '../../shared/explanation.ts';
import { percentText, printable, spanText, table } from '../format.ts';

export function renderExplanation({ streams }: Explanation): string {
  return streams.map(renderStream).join('\n\n\n');
}

function renderStream({ stream, reason, weights, candidates, switches }: ExplainedStream): string {
  const sections = [
    `${printable(`stream ${stream}: ${reason}`)}\n${verdicts(candidates, weights)}`,
    states(candidates),
    inputs(candidates),
  ];
  const moves = switches.map(({ at, from, to, reason: why }) => [at, from ?? 'nobody', to ?? 'nobody', why]);
  if (moves.length > 0) sections.push(table(['SWITCHED AT', 'FROM', 'TO', 'REASON'], moves));
  return sections.join('\n\n');
}

function verdicts(candidates: readonly ExplainedCandidate[], weights: ExplainedStream['weights']): string {
  const weight = (name: string, share: number): string => `${name} ×${share.toFixed(2)}`;
  const headings = [
    'PROVIDER',
    'VERDICT',
    'SHARE',
    'SCORE',
    'STANDING',
    weight('COST', weights.cost),
    weight('PERFORMANCE', weights.performance),
    weight('COMPLIANCE', weights.compliance),
    weight('RELIABILITY', weights.reliability),
  ];
  const rows = candidates.map(({ provider, refusals, share, score, standing, parts, chosen }) => [
    provider,
    refusals.length > 0 ? `refused: ${refusals.join(', ')}` : chosen ? 'chosen' : 'eligible',
    percentText(share),
    score.toFixed(3),
    standing.toFixed(3),
    parts.cost.toFixed(3),
    parts.performance.toFixed(3),
    parts.compliance.toFixed(3),
    parts.reliability.toFixed(3),
  ]);
  return table(headings, rows);
}

function states(candidates: readonly ExplainedCandidate[]): string {
  const rows = candidates.map(({ provider, health, healthReason, trial, holds, ...rest }) => [
    provider,
    `${health}: ${healthReason}`,
    trial ? `${trial.accepted} of ${trial.tries} accepted, ${trial.triesNeeded} tries needed` : 'none',
    holds.join(', ') || 'none',
    rest.preference === null ? '–' : String(rest.preference),
    rest.waitMs === 0 ? 'now' : spanText(rest.waitMs),
    spanText(rest.hedgeDelayMs),
  ]);
  return table(['PROVIDER', 'HEALTH', 'TRIAL', 'HOLDS', 'PREFERRED', 'MOVES IN', 'HEDGED AFTER'], rows);
}

function inputs(candidates: readonly ExplainedCandidate[]): string {
  const headings = [
    'PROVIDER',
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
  const rows = candidates.map(({ provider, inputs: input }) => [
    provider,
    input.envelopeCostUsd.toFixed(8),
    spanText(input.latencyP50Ms),
    spanText(input.latencyP95Ms),
    String(input.latencySamples),
    spanText(input.latencyPriorMs),
    percentText(input.goodput),
    `${input.accepted} of ${input.tries}`,
    `${input.slaPercent.toFixed(2)}%`,
    `${input.certificationsHeld} of ${input.certificationsRequired}`,
  ]);
  return table(headings, rows);
}
