/**
 * One row in every table says to which ledger the table belongs, and how often the router has noted that. A
 * note changes all of these rows in one transaction, so they are always equal. A table that was emptied, or
 * put back alone, differs.
 */
import { EXIT } from '../../../shared/exit-codes.ts';
import type { Sqlite } from '../../../shared/sqlite/open.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { consequenceOf } from '../accepted-parts.ts';

interface MarkRow {
  /** The column that holds the mark. */
  column: string;
  where: string;
  /** Inserts the row. Part of a migration: never changed. */
  insert: string;
}

/** Before the first note. */
const MARK = "(SELECT ledger_id || ' 0' FROM identity)";

/** No query of the tables' contents finds these rows. */
const MARKS = {
  head: { column: 'mark', where: 'id = 1', insert: `UPDATE head SET mark = ${MARK}` },
  cursor: { column: 'feed', where: 'offset = -1', insert: `INSERT INTO cursor VALUES (${MARK}, -1)` },
  cursor_progress: {
    column: 'progress',
    where: "feed = ''",
    insert: `INSERT INTO cursor_progress VALUES ('', CAST(${MARK} AS BLOB))`,
  },
  checkpoint: {
    column: 'position',
    where: "source = '' AND partition = ''",
    insert: `INSERT INTO checkpoint VALUES ('', '', ${MARK})`,
  },
  stream: {
    column: 'stream',
    where: 'id = 0',
    insert: `INSERT INTO stream (id, gateway, epoch, stream, seen, gap_quota, gap_age, gap_corruption, duplicates,
      conflicts) VALUES (0, '', '', ${MARK}, x'', x'', x'', x'', 0, 0)`,
  },
  arrival: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO arrival (id, source, received_wall_ms, boot_id, clock_offset_ms, clock_quality)
      VALUES (0, ${MARK}, 0, '', 0, '')`,
  },
  record: {
    column: 'topic',
    where: 'offset = 0',
    insert: `INSERT INTO record (offset, stream_id, seq, arrival_id, mono_ms, device, topic, payload)
      VALUES (0, 0, 0, 0, 0, '', ${MARK}, x'')`,
  },
  boot_clock: {
    column: 'boot_id',
    where: "gateway = ''",
    insert: `INSERT INTO boot_clock VALUES ('', ${MARK}, 0)`,
  },
  conflict: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO conflict (id, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload)
      VALUES (0, -1, 0, ${MARK}, 0, 0, '', '', x'')`,
  },
  contact: { column: 'source', where: "gateway = ''", insert: `INSERT INTO contact VALUES ('', ${MARK}, 0)` },
  dead_letter: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO dead_letter (id, source, reason, detail, bytes, received_wall_ms)
      VALUES (0, ${MARK}, '', '', x'', 0)`,
  },
  erasure: {
    column: 'actor',
    where: 'id = 0',
    insert: `INSERT INTO erasure (id, device, actor, started_wall_ms) VALUES (0, '', ${MARK}, 0)`,
  },
  repetition: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO repetition (id, stream_id, first_seq, last_seq, source, received_wall_ms, redelivered)
      VALUES (0, -1, 0, 0, ${MARK}, 0, 0)`,
  },
  volume: {
    column: 'stream',
    where: 'hour = -1',
    insert: `INSERT INTO volume (stream, hour, bytes) VALUES (${MARK}, -1, 0)`,
  },
  kept: { column: 'name', where: 'rows = -1', insert: `INSERT INTO kept VALUES (${MARK}, 0, -1, 0)` },
} satisfies Record<string, MarkRow>;

type Marked = MarkRow & { table: string };
const FIRST_MARKED = Object.entries(MARKS).map(([table, row]): Marked => ({ table, ...row }));
/** A table that came after the marks; its insertion is part of its migration. */
const SHARE: Marked = {
  table: 'share',
  column: 'stream',
  where: "gateway = ''",
  insert: `INSERT INTO share SELECT '', ledger_id || ' ' || noted, 0 FROM identity`,
};
const MARKED = [...FIRST_MARKED, SHARE];
/** `ping` holds nothing that is missed. */
const TABLES = ['identity', 'ping', ...MARKED.map(({ table }) => table)];

/** The step that brings the marks. */
export const FIRST_MARKS = [
  'ALTER TABLE identity ADD COLUMN noted INTEGER NOT NULL DEFAULT 0',
  "ALTER TABLE head ADD COLUMN mark TEXT NOT NULL DEFAULT ''",
  ...FIRST_MARKED.map(({ insert }) => insert),
].join(';\n');

/** Part of the step that brings the shares. */
export const SHARE_MARK = SHARE.insert;

/** A part that does not belong to the others. */
export interface Fault {
  kind: 'missing' | 'emptied' | 'older' | 'foreign';
  tables: readonly string[];
  problem: string;
}

/** Throws StartRefused, with the part and the fix, where the tables do not belong together. */
export function expectMarks(db: Sqlite, file: string): void {
  const fault = faultOf(db);
  if (fault !== null) throw refusal(file, fault);
}

/** `ledger accept` takes parts that are missing, emptied or older as they are, and no foreign part. */
export function isAcceptable({ kind, tables }: Fault): boolean {
  return kind !== 'foreign' && tables.every((table) => consequenceOf(table) !== null);
}

export function refusal(file: string, fault: Fault): StartRefused {
  const accept = isAcceptable(fault)
    ? ', or go on without that part with: headgate ledger accept --config <router.yaml>'
    : '';
  return new StartRefused(
    `ledger ${file}: ${fault.problem}. Restore the whole file from one backup${accept}`,
    EXIT.config,
  );
}

/** Notes the ledger's identity in every table, unless one is another ledger's, or of another time. */
export function noteMarks(db: Sqlite): void {
  db.transaction(() => {
    if (problemIn(db) !== null) return;
    const { mark, noted } = identityOf(db, 1);
    for (const row of MARKED) write(db, row, mark);
    db.prepare('UPDATE identity SET noted = ?').run(noted);
  }).immediate();
}

/** Makes the present content of `table`, which must exist, the ledger's. */
export function markTable(db: Sqlite, table: string): void {
  const row = MARKED.find((marked) => marked.table === table);
  if (row === undefined) return;
  if (markIn(db, row) === null) db.exec(row.insert);
  write(db, row, identityOf(db, 0).mark);
}

function write(db: Sqlite, { table, column, where }: Marked, mark: string): void {
  const value = column === 'progress' ? Buffer.from(mark) : mark;
  db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(value);
}

/** The number of the last note. */
export function notedOf(db: Sqlite): number {
  return identityOf(db, 0).noted;
}

/** The first part that does not belong to the others, at one moment. */
export function faultOf(db: Sqlite): Fault | null {
  return db.transaction(() => problemIn(db)).deferred();
}

function problemIn(db: Sqlite): Fault | null {
  const names = db.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck();
  const there = new Set(names.all());
  const gone = TABLES.filter((table) => !there.has(table));
  if (gone.length > 0) {
    const problem = `it lost a part: table ${gone.join(', ')} ${gone.length === 1 ? 'is' : 'are'} missing`;
    return { kind: 'missing', tables: gone, problem };
  }
  if (db.prepare('SELECT 1 FROM identity').get() === undefined) return emptied('identity');
  const { id, noted } = identityOf(db, 0);
  const marks = MARKED.map((row) => ({ table: row.table, mark: markIn(db, row) }));
  const others = new Set(marks.flatMap(({ mark }) => (mark === null ? [] : [mark.split(' ')[0]])));
  if (others.size === 1 && !others.has(id)) return foreign('identity');
  for (const { table, mark } of marks) {
    if (mark === null) return emptied(table);
    const [of, number] = mark.split(' ');
    if (of !== id) return foreign(table);
    const note = Number(number);
    if (note < noted) return older(table, note, noted);
    if (note > noted) return older('identity', noted, note);
  }
  const head = db.prepare<[], number>('SELECT last_offset FROM head').pluck().get() ?? 0;
  const last = db.prepare<[], number>('SELECT max(offset) FROM record').pluck().get() ?? 0;
  if (last <= head) return null;
  const problem = `table head is an older copy: it ends at offset ${head}, and records at ${last}`;
  return { kind: 'older', tables: ['head'], problem };
}

function emptied(table: string): Fault {
  return { kind: 'emptied', tables: [table], problem: `table ${table} was emptied` };
}

function foreign(table: string): Fault {
  return { kind: 'foreign', tables: [table], problem: `table ${table} is of another ledger` };
}

function older(table: string, note: number, others: number): Fault {
  const problem = `table ${table} is an older copy: it ends at note ${note}, and the others at ${others}`;
  return { kind: 'older', tables: [table], problem };
}

function markIn(db: Sqlite, { table, column, where }: Marked): string | null {
  const text = db
    .prepare<[], string>(`SELECT CAST(${column} AS TEXT) FROM ${table} WHERE ${where} LIMIT 1`)
    .pluck()
    .get();
  return text ?? null;
}

/** The identity as of `later` notes from now. */
function identityOf(db: Sqlite, later: number): { id: string; noted: number; mark: string } {
  const found = db
    .prepare<[], { id: string; noted: number }>('SELECT ledger_id AS id, noted FROM identity')
    .get() ?? { id: '', noted: 0 };
  const noted = found.noted + later;
  return { id: found.id, noted, mark: `${found.id} ${noted}` };
}
