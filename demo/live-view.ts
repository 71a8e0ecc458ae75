/** The demo's table: redrawn in place on a terminal, one line a second in a pipe. */
import logUpdate from 'log-update';

export interface ProviderRow {
  name: string;
  fault: string | null;
  state: string;
  score: number | null;
  /** Share of the envelopes accepted in the last second, 0–1. */
  share: number;
  accepted: number;
  p50Ms: number | null;
  predictedUnits: number;
  meteredUnits: number;
}

export interface StreamRow {
  name: string;
  chosen: string | null;
  pending: number;
  ratePerSecond: number;
}

export interface Snapshot {
  seconds: number;
  durationSeconds: number;
  phase: string;
  acked: number;
  ackedPerSecond: number;
  inLedger: number;
  backlog: number;
  /** Records accepted by a cloud and kept until the router's receipt. */
  unconfirmed: number;
  /** Agent and router both answered: neither is restarting. */
  answered: boolean;
  /** Messages that the clouds hold for the router. */
  unsettled: number;
  duplicatesReconciled: number;
  missing: number;
  providers: ProviderRow[];
  streams: StreamRow[];
  notes: string[];
}

const NOTES_SHOWN = 6;

export class LiveView {
  readonly #out: NodeJS.WriteStream;
  readonly #silent: boolean;

  /** `silent` prints nothing at all. */
  constructor(out: NodeJS.WriteStream, silent: boolean) {
    this.#out = out;
    this.#silent = silent;
  }

  show(snapshot: Snapshot): void {
    if (this.#silent) return;
    if (this.#out.isTTY) logUpdate(render(snapshot));
    else this.#out.write(`${line(snapshot)}\n`);
  }

  /** Leaves the last table on the screen. */
  end(): void {
    if (!this.#silent && this.#out.isTTY) logUpdate.done();
  }
}

/** One line for a pipe or a log. */
function line(s: Snapshot): string {
  const providers = s.providers
    .map((p) => `${p.name} ${p.fault === null ? p.state : `${p.state} (${p.fault})`} ${percent(p.share)}`)
    .join(', ');
  const note = s.notes.at(-1);
  return (
    `${String(s.seconds).padStart(3)} s  ${s.phase.padEnd(8)} ${s.ackedPerSecond} rec/s  acked ${s.acked}  ledger ${s.inLedger}  ` +
    `backlog ${s.backlog}  unconfirmed ${s.unconfirmed}  duplicates reconciled ${s.duplicatesReconciled}  missing ${s.missing}  | ${providers}` +
    (note === undefined ? '' : `  | ${note}`)
  );
}

/** The table for a terminal. */
function render(s: Snapshot): string {
  const providers = table(
    ['provider', 'state', 'score', 'share', 'envelopes', 'p50 ms', 'units predicted/metered', 'fault'],
    s.providers.map((p) => [
      p.name,
      p.state,
      p.score === null ? '–' : p.score.toFixed(3),
      `${bar(p.share)} ${percent(p.share)}`,
      String(p.accepted),
      p.p50Ms === null ? '–' : p.p50Ms.toFixed(0),
      `${p.predictedUnits} / ${p.meteredUnits}`,
      p.fault ?? '',
    ]),
  );
  const streams = table(
    ['stream', 'goes to', 'rec/s', 'backlog'],
    s.streams.map((r) => [r.name, r.chosen ?? 'nowhere now', String(r.ratePerSecond), String(r.pending)]),
  );
  const totals =
    `acknowledged ${s.acked} (${s.ackedPerSecond}/s)   in the ledger ${s.inLedger}   backlog ${s.backlog}   unconfirmed ${s.unconfirmed}   ` +
    `duplicates reconciled ${s.duplicatesReconciled}   missing ${s.missing}`;
  const head = `headgate demo   ${s.phase}   ${s.phase === 'publish' ? `${s.seconds} of ${s.durationSeconds} s` : `${s.seconds} s`}`;
  return [head, '', ...providers, '', ...streams, '', totals, '', ...s.notes.slice(-NOTES_SHOWN)].join('\n');
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function bar(share: number): string {
  const full = Math.round(share * 10);
  return '█'.repeat(full) + '·'.repeat(10 - full);
}

function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const format = (cells: string[]): string =>
    `  ${cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('   ')
      .trimEnd()}`;
  return [format(head), format(widths.map((width) => '─'.repeat(width))), ...rows.map(format)];
}
