/**
 * `headgate explain`: for each stream the verdict with its parts, the state of each provider, and the inputs
 * of the parts.
 */
import type { ExplainedCandidate, ExplainedStream, Explanation } from '../../shared/admin-api/explanation.ts';
import { line, percentText, spanText, table } from '../format.ts';
import { INPUT_HEADINGS, inputCells, scoreCells, scoreHeadings, verdictText } from './score-tables.ts';

export function renderExplanation({ streams }: Explanation): string {
  return streams.map(renderStream).join('\n\n\n');
}

function renderStream({ stream, reason, weights, candidates, switches }: ExplainedStream): string {
  const sections = [
    `${line(`stream ${stream}: ${reason}`)}\n${verdicts(candidates, weights)}`,
    states(candidates),
    inputs(candidates),
  ];
  const moves = switches.map(({ at, from, to, reason: why }) => [at, from ?? 'nobody', to ?? 'nobody', why]);
  if (moves.length > 0) sections.push(table(['SWITCHED AT', 'FROM', 'TO', 'REASON'], moves));
  return sections.join('\n\n');
}

function verdicts(candidates: readonly ExplainedCandidate[], weights: ExplainedStream['weights']): string {
  const rows = candidates.map((candidate) => [
    candidate.provider,
    verdictText(candidate.refusals, candidate.chosen),
    percentText(candidate.share),
    ...scoreCells(candidate),
  ]);
  return table(['PROVIDER', 'VERDICT', 'SHARE', ...scoreHeadings(weights)], rows);
}

function states(candidates: readonly ExplainedCandidate[]): string {
  const rows = candidates.map(({ provider, health, healthReason, trial, holds, ...rest }) => [
    provider,
    rest.fault === null ? `${health}: ${healthReason}` : `${health}: ${healthReason} (${rest.fault})`,
    trial ? `${trial.accepted} of ${trial.tries} accepted, ${trial.triesNeeded} tries needed` : 'none',
    holds.join(', ') || 'none',
    rest.preference === null ? '–' : String(rest.preference),
    rest.waitMs === 0 ? 'now' : spanText(rest.waitMs),
    spanText(rest.hedgeDelayMs),
  ]);
  return table(['PROVIDER', 'HEALTH', 'TRIAL', 'HOLDS', 'PREFERRED', 'MOVES IN', 'HEDGED AFTER'], rows);
}

function inputs(candidates: readonly ExplainedCandidate[]): string {
  const rows = candidates.map(({ provider, inputs: input }) => [provider, ...inputCells(input)]);
  return table(['PROVIDER', ...INPUT_HEADINGS], rows);
}
