/**
 * The demo's picture on a terminal: a title, the providers, the streams, totals, and the last events. It fits
 * the terminal, since a picture that is wider wraps, and one that is higher loses its title.
 *
 * Pure: the caller says how large the terminal is.
 */
import { foldedText, textTable } from '../shared/text-table.ts';
import type { ProviderRow, Snapshot, StreamRow } from './snapshot.ts';

export interface ScreenSize {
  columns: number;
  rows: number;
}

const NOTES_SHOWN = 6;
const BAR_CELLS = 10;
/** Columns that a table of the providers with bars takes. */
const BARS_FROM_COLUMNS = 100;

/** The picture, without a line break at its end, at least one line lower than the terminal. */
export function screen(snapshot: Snapshot, { columns, rows }: ScreenSize): string {
  const body = [
    providers(snapshot.providers, columns),
    streams(snapshot.streams, columns),
    foldedText(totals(snapshot), columns),
  ].flatMap((section) => ['', ...section.split('\n')]);
  const room = Math.max(2, rows - 1);
  const fixed = [foldedText(title(snapshot), columns), ...body].flatMap((text) => text.split('\n'));
  if (fixed.length > room) return marked(fixed, room).join('\n');
  return [...fixed, ...notes(snapshot.notes, columns, room - fixed.length)].join('\n');
}

function title({ phase, seconds, durationSeconds }: Snapshot): string {
  const time = phase === 'publish' ? `${seconds} of ${durationSeconds} s` : `${seconds} s`;
  return `headgate demo   ${phase}   ${time}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function providers(rows: readonly ProviderRow[], columns: number): string {
  return textTable(
    ['provider', 'state', 'fault', 'score', 'share', 'envelopes', 'p50 ms', 'units (metered)'],
    rows.map((p) => [
      p.name,
      p.state,
      p.fault ?? 'none',
      p.score === null ? '–' : p.score.toFixed(3),
      columns < BARS_FROM_COLUMNS ? percent(p.share) : `${bar(p.share)} ${percent(p.share)}`,
      String(p.accepted),
      p.p50Ms === null ? '–' : p.p50Ms.toFixed(0),
      `${p.predictedUnits} (${p.meteredUnits})`,
    ]),
    { width: columns },
  );
}

function streams(rows: readonly StreamRow[], columns: number): string {
  return textTable(
    ['stream', 'goes to', 'rec/s', 'backlog'],
    rows.map((r) => [r.name, r.chosen ?? 'nowhere now', String(r.ratePerSecond), String(r.pending)]),
    { width: columns },
  );
}

function totals(s: Snapshot): string {
  return (
    `acknowledged ${s.acked} (${s.ackedPerSecond}/s), in the ledger ${s.inLedger}, backlog ${s.backlog}, ` +
    `unconfirmed ${s.unconfirmed}, duplicates reconciled ${s.duplicatesReconciled}, missing ${s.missing}`
  );
}

/** The newest notes that fit in `room` lines, behind an empty one. */
function notes(all: readonly string[], columns: number, room: number): string[] {
  const shown: string[] = [];
  for (const note of all.slice(-NOTES_SHOWN).reverse()) {
    const lines = foldedText(note, columns).split('\n');
    if (shown.length + lines.length > room - 1) break;
    shown.unshift(...lines);
  }
  return shown.length === 0 ? [] : ['', ...shown];
}

/** The first lines, and how many are left out: the title stays. */
function marked(lines: readonly string[], room: number): string[] {
  const [first = '', ...rest] = lines.filter((line) => line !== '');
  if (rest.length < room) return [first, ...rest];
  const shown = rest.slice(0, room - 2);
  return [first, ...shown, `… ${rest.length - shown.length} more lines`];
}

function bar(share: number): string {
  const full = Math.round(share * BAR_CELLS);
  return '█'.repeat(full) + '·'.repeat(BAR_CELLS - full);
}
