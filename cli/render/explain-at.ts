/** `headgate explain --at`. */
import type { PastExplanation, PastTries } from '../../shared/explanation.ts';
import { printable, spanText, table } from '../format.ts';

export function renderPast(past: PastExplanation): string {
  const { at, recordedUntil, clock, policyVersion, streams, providers } = past;
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
    head.map(printable).join('\n'),
    table(['STREAM', 'TO', 'SINCE'], goes),
    table(['PROVIDER', 'HEALTH', 'SINCE', 'HOLDS', 'TRIES FROM', 'ACCEPTED', 'P50', 'P95', 'FAILED'], health),
  ];
  if (switches.length > 0) sections.push(table(['SWITCHED AT', 'STREAM', 'FROM', 'TO', 'REASON'], switches));
  return sections.join('\n\n');
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
