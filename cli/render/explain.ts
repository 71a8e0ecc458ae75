/** `headgate explain`. */
import type { Explanation } from '../../shared/status.ts';
import { printable, table } from '../format.ts';

type ExplainedStream = Explanation['streams'][number];

export function renderExplanation({ streams }: Explanation): string {
  return streams.map(renderStream).join('\n\n');
}

function renderStream({ stream, reason, weights, candidates }: ExplainedStream): string {
  const weight = (name: string, share: number): string => `${name} ×${share.toFixed(2)}`;
  const headings = [
    'PROVIDER',
    'VERDICT',
    'SCORE',
    weight('COST', weights.cost),
    weight('PERFORMANCE', weights.performance),
    weight('COMPLIANCE', weights.compliance),
    weight('RELIABILITY', weights.reliability),
    'HEDGED AFTER',
  ];
  const rows = candidates.map(({ provider, refusals, score, parts, chosen, hedgeDelayMs }) => [
    provider,
    refusals.length > 0 ? `refused: ${refusals.join(', ')}` : chosen ? 'chosen' : 'eligible',
    score.toFixed(3),
    parts.cost.toFixed(3),
    parts.performance.toFixed(3),
    parts.compliance.toFixed(3),
    parts.reliability.toFixed(3),
    hedgeDelayMs === null ? '–' : `${hedgeDelayMs} ms`,
  ]);
  return `${printable(`stream ${stream}: ${reason}`)}\n${table(headings, rows)}`;
}
