/** The demo's view: a picture redrawn in place on a terminal, one line a second in a pipe. */
import logUpdate from 'log-update';
import { foldedText } from '../shared/text-table.ts';
import { percent, screen } from './screen.ts';
import type { Snapshot } from './snapshot.ts';

/** Size of a terminal that does not say it. */
const COLUMNS = 80;
const ROWS = 24;

export class LiveView {
  readonly #out: NodeJS.WriteStream;
  readonly #silent: boolean;

  /** `silent` prints nothing at all. */
  constructor(out: NodeJS.WriteStream, silent: boolean) {
    this.#out = out;
    this.#silent = silent;
  }

  /** A line of its own, for the time before there is anything to show. */
  say(text: string): void {
    if (!this.#silent)
      this.#out.write(`${foldedText(text, this.#out.columns || Number.POSITIVE_INFINITY)}\n`);
  }

  show(snapshot: Snapshot): void {
    if (this.#silent) return;
    const { isTTY, columns, rows } = this.#out;
    if (isTTY) logUpdate(screen(snapshot, { columns: columns || COLUMNS, rows: rows || ROWS }));
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
