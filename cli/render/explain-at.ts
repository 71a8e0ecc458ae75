/** `headgate explain --at`. */
import type { PastExplanation, PastStream, PastTries } from '../../shared/admin-api/explanation.ts';
import { line, spanText, table } from '../format.ts';
import { INPUT_HEADINGS, inputCells, scoreCells, scoreHeadings, verdictText } from './score-tables.ts';

export function renderPast(past: PastExplanation): string {
  const { at, recordedUntil, clock, policyVersion, weights, streams, providers } = past;
  const head = [
    `at ${at}, as recorded until ${recordedUntil}; clock ${clock}, policy version ${policyVersion ?? 'unknown'}`,
  ];
  const goes = streams.map(({ stream, chosen, since }) => [stream, chosen ?? 'nobody', since ?? 'earlier']);
  const health = providers.map(({ provider, health: kind, healthReason, since, holds, tries }) => [
    provider,
    `${kind}: ${healthReason}`,
    since ?? 'earlier',
    holds.join(', ') || 'none',
    ...triesCells(tries),
  ]);
  const switches = streams
    .flatMap((stream) => stream.switches)
    .map(({ at: when, stream, from, to, reason }) => [when, stream, from ?? 'nobody', to ?? 'nobody', reason])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  const sections = [
    head.map(line).join('\n'),
    table(['STREAM', 'TO', 'SINCE'], goes),
    table(['PROVIDER', 'HEALTH', 'SINCE', 'HOLDS', 'TRIES FROM', 'ACCEPTED', 'P50', 'P95', 'FAILED'], health),
  ];
  if (switches.length > 0) sections.push(table(['SWITCHED AT', 'STREAM', 'FROM', 'TO', 'REASON'], switches));
  return [...sections, ...streams.flatMap((stream) => standings(stream, weights))].join('\n\n');
}

/** Why each provider was eligible or not, and its score, as recorded in the history. */
function standings({ stream, candidates }: PastStream, weights: PastExplanation['weights']): string[] {
  const heading = `stream ${stream}`;
  if (candidates.length === 0) return [line(`${heading}: its policy of that time is not recorded`)];
  const verdicts = candidates.map(({ provider, refusals, chosen, preference, scored }) => [
    provider,
    verdictText(refusals, chosen),
    preference === null ? '–' : String(preference),
    ...(scored ? scoreCells(scored) : scoreHeadings(weights).map(() => 'not known')),
  ]);
  const inputs = candidates.flatMap(({ provider, scored }) =>
    scored ? [[provider, scored.inputsAt, ...inputCells(scored.inputs)]] : [],
  );
  const sections = [
    `${line(heading)}\n${table(['PROVIDER', 'VERDICT', 'PREFERRED', ...scoreHeadings(weights)], verdicts)}`,
  ];
  if (inputs.length > 0) sections.push(table(['PROVIDER', 'INPUTS AT', ...INPUT_HEADINGS], inputs));
  return sections;
}

function triesCells(tries: PastTries | null): string[] {
  if (!tries) return ['none', '–', '–', '–', '–'];
  const failed = Object.entries(tries.failed).map(([outcome, count]) => `${count} ${outcome}`);
  return [
    tries.from,
    String(tries.accepted),
    spanText(tries.p50Ms),
    spanText(tries.p95Ms),
    failed.join(', ') || 'none',
  ];
}
