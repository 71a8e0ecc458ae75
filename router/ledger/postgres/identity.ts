/**
 * The identity of the tables, and the check that they belong together: every table carries the ledger's id
 * and the number of its last note (marks.ts). A table that is missing, emptied, older than the others, or of
 * another ledger is never recreated.
 */
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import { consequenceOf } from '../accepted-parts.ts';
import { LedgerLost } from '../types.ts';
import type { Database, Queryable } from './connection.ts';
import { MARKED_TABLES, MARKS_FOUND, type MarkedTable, VOLUME_MARK } from './marks.ts';

/**
 * Also the sequence `arrival_id`, which has its name among the tables'. `share` has no mark: an older router
 * beside a newer one would not note it.
 */
const TABLES = ['arrival_id', 'head', 'ping', 'schema_version', 'share', ...MARKED_TABLES];

/** A whole ledger, and its last offset. */
interface Identified {
  id: string;
  offset: number;
}

/** The first fault found, and the tables that have it. */
export interface Fault {
  kind: 'missing' | 'emptied' | 'older' | 'foreign';
  tables: readonly string[];
  problem: string;
}

interface Identity {
  id: string | null;
  offset: number | null;
  noted: number | null;
  volumeMark: string | null;
  marks: Readonly<Record<MarkedTable, string | null>>;
  cursorId: string | null;
  checkpointId: string | null;
  lastArrival: number;
  lastArrivalId: number;
  lastId: number;
  /** The position of the last note. */
  notedOffset: number | null;
  /** Days that have a partition of one of the two partitioned tables alone. */
  oddDays: string[] | null;
}

/** Id and last offset of the ledger in `schema`. Throws StartRefused when its tables are not complete. */
export async function openIdentity(db: Database, schema: string): Promise<Identified> {
  const found = await db.transaction((client) => look(client, schema));
  if ('problem' in found) throw refusal(schema, found);
  return found;
}

/** The last offset. Throws LedgerLost when the tables no longer belong to the ledger `id`. */
export async function checkIdentity(db: Database, schema: string, id: string): Promise<number> {
  const found = await db.transaction((client) => look(client, schema));
  if ('problem' in found) throw new LedgerLost(`ledger in schema ${schema}: ${found.problem}`);
  if (found.id !== id) throw new LedgerLost(`ledger in schema ${schema}: it was made anew`);
  return found.offset;
}

/** Whether a router can go on without the content that the tables had. */
export function isAcceptable({ kind, tables }: Fault): boolean {
  return kind !== 'foreign' && tables.every((table) => consequenceOf(table) !== null);
}

export function refusal(schema: string, fault: Fault): StartRefused {
  const those = fault.tables.length === 1 ? 'that table' : 'those tables';
  const restore = `Restore ${those} from the newest backup of the ledger, or go on without with: headgate ledger accept --config <router.yaml>`;
  const whole = 'Restore the whole ledger from one backup';
  const own = `Put the ledger's own back, or empty ${those}, and go on without with: headgate ledger accept --config <router.yaml>`;
  const isForeign = fault.kind === 'foreign' && fault.tables.every((table) => consequenceOf(table) !== null);
  const fix = isForeign ? own : isAcceptable(fault) ? restore : whole;
  return new StartRefused(`ledger in schema ${schema}: ${fault.problem}. ${fix}`, EXIT.config);
}

/** The tables that are missing in `schema`. */
async function missingTables(client: Queryable, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = ANY ($2::text[])`,
    [schema, TABLES],
  );
  const there = new Set(rows.map(({ name }) => name));
  return TABLES.filter((name) => !there.has(name));
}

export async function look(client: Queryable, schema: string): Promise<Identified | Fault> {
  const gone = await missingTables(client, schema);
  if (gone.length === TABLES.length) {
    return { kind: 'missing', tables: gone, problem: 'all of its tables are gone' };
  }
  if (gone.length > 0) return missingFault(gone);
  const { rows } = await client.query<Identity>(
    `SELECT (SELECT ledger_id FROM head) AS id, (SELECT last_offset FROM head) AS "offset",
       (SELECT noted FROM head) AS noted, (SELECT ${VOLUME_MARK} FROM head) AS "volumeMark", ${MARKS_FOUND} AS marks,
       (SELECT convert_from(progress, 'UTF8') FROM cursor WHERE feed = '') AS "cursorId",
       (SELECT position FROM checkpoint WHERE source = '' AND partition = '') AS "checkpointId",
       (SELECT coalesce(max(last_offset), 0) FROM arrival) AS "lastArrival",
       (SELECT coalesce((SELECT id FROM arrival ORDER BY last_offset DESC LIMIT 1), 0)) AS "lastArrivalId",
       (SELECT last_value FROM arrival_id) AS "lastId",
       (SELECT last_offset FROM cursor WHERE feed = '') AS "notedOffset",
       (SELECT array_agg(day) FROM (
         SELECT substring(c.relname FROM '_([0-9]+)$') AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent IN ('arrival'::regclass, 'record'::regclass) AND c.relname ~ '_[0-9]+$' GROUP BY 1 HAVING count(*) = 1) d) AS "oddDays"`,
  );
  const [identity] = rows;
  if (!identity || identity.id === null || identity.offset === null || identity.noted === null) {
    return { kind: 'emptied', tables: ['head'], problem: 'table head is empty' };
  }
  const { id, offset, noted } = identity;
  return faultOfMarks(identity, `${id} ${noted}`) ?? faultOfOffsets(identity, offset) ?? { id, offset };
}

export function missingFault(gone: readonly string[]): Fault {
  const list = gone.join(', ');
  return {
    kind: 'missing',
    tables: gone,
    problem: `it lost a part: table ${list} ${gone.length === 1 ? 'is' : 'are'} missing`,
  };
}

/** The first table whose mark is not `due`. */
function faultOfMarks(
  { id, noted, marks, volumeMark, cursorId, checkpointId }: Identity,
  due: string,
): Fault | null {
  const ids = { cursor: cursorId, checkpoint: checkpointId };
  const others = new Set([...Object.entries(marks).flatMap(([table, mark]) => idsIn(table, mark)), cursorId]);
  if (others.size === 1 && !others.has(id)) {
    return { kind: 'foreign', tables: ['head'], problem: 'table head is of another ledger' };
  }
  for (const table of MARKED_TABLES) {
    const found = marks[table];
    const own = table === 'cursor' || table === 'checkpoint' ? ids[table] : id;
    if (found === null || own === null) return emptied(table);
    if (table === 'volume') {
      if (found === volumeMark) continue;
      return {
        kind: 'older',
        tables: [table],
        problem: `table ${table} is an older copy, or of another ledger`,
      };
    }
    const [of, number] = found.split(' ');
    if (of !== id || own !== id) {
      return { kind: 'foreign', tables: [table], problem: `table ${table} is of another ledger` };
    }
    if (found !== due) return older(table, Number(number), noted ?? 0);
  }
  return null;
}

function idsIn(table: string, mark: string | null): string[] {
  return table === 'volume' || mark === null ? [] : [mark.split(' ')[0] ?? ''];
}

function emptied(table: string): Fault {
  return { kind: 'emptied', tables: [table], problem: `table ${table} was emptied` };
}

/** `number`: of the table's last note, where `head` has had `noted`. */
function older(table: string, number: number, noted: number): Fault {
  const [old, first, second] = number < noted ? [table, number, noted] : ['head', noted, number];
  const problem = `table ${old} is an older copy: it ends at note ${first}, and the others at ${second}`;
  return { kind: 'older', tables: [old], problem };
}

function faultOfOffsets(
  { lastArrival, lastArrivalId, lastId, notedOffset, oddDays }: Identity,
  offset: number,
): Fault | null {
  const head = (problem: string): Fault => ({ kind: 'older', tables: ['head'], problem });
  if (lastArrival > offset) return head(`head ends at offset ${offset}, and records at ${lastArrival}`);
  if (notedOffset !== null && notedOffset > offset) {
    return head(`it ends at offset ${offset}, and had come to ${notedOffset}: an older copy`);
  }
  if (lastArrivalId > lastId) {
    const problem = `sequence arrival_id is an older copy: it ends at ${lastId}, and arrivals at ${lastArrivalId}`;
    return { kind: 'older', tables: ['arrival_id'], problem };
  }
  const [day] = oddDays ?? [];
  if (day !== undefined) {
    const problem = `it lost a part: the records of ${day}, or the table of their arrivals, are missing`;
    return { kind: 'missing', tables: ['record'], problem };
  }
  return null;
}
