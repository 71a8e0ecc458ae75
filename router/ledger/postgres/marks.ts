/**
 * One row in every table says to which ledger the table belongs, and how often the routers have noted that. A
 * note changes all of these rows in one transaction, so they are always equal. A table that is put back alone
 * differs: one of another time in the number, one of another ledger in the id.
 */
import type { Queryable } from './connection.ts';

interface MarkRow {
  /** The column that holds the mark. */
  column: string;
  where: string;
  /** Inserts the row. Part of a migration: never changed. */
  insert: string;
}

/** Before the first note. */
const MARK = "ledger_id || ' 0'";

/**
 * No query of the tables' contents finds these rows. `volume` has no column for a text: its mark is a hash.
 */
const MARKS = {
  cursor: {
    column: 'holder',
    where: "feed = ''",
    insert: `INSERT INTO cursor (feed, last_offset, progress, holder)
      SELECT '', 0, convert_to(ledger_id, 'UTF8'), ${MARK} FROM head
      ON CONFLICT (feed) DO UPDATE SET progress = excluded.progress, holder = excluded.holder`,
  },
  checkpoint: {
    column: 'position',
    where: "source = '' AND partition = 'mark'",
    insert: `INSERT INTO checkpoint (source, partition, position)
      SELECT '', '', ledger_id FROM head UNION ALL SELECT '', 'mark', ${MARK} FROM head
      ON CONFLICT (source, partition) DO UPDATE SET position = excluded.position`,
  },
  stream: {
    column: 'stream',
    where: "gateway = '' AND id = 0",
    insert: `INSERT INTO stream (gateway, epoch, stream, id, seen, gap_quota, gap_age, gap_corruption)
      OVERRIDING SYSTEM VALUE SELECT '', '', ${MARK}, 0, '', '', '', '' FROM head`,
  },
  arrival: {
    column: 'source',
    where: "gateway = '' AND id = 0 AND day = 0",
    insert: `INSERT INTO arrival (gateway, id, day, stream_id, first_seq, last_seq, first_offset, last_offset,
        source, received_wall_ms, boot_id, clock_offset_ms, clock_quality)
      SELECT '', 0, 0, 0, 0, 0, 0, 0, ${MARK}, 0, '', 0, '' FROM head`,
  },
  record: {
    column: 'topic',
    where: "gateway = '' AND stream_id = 0 AND day = 0",
    insert: `INSERT INTO record (gateway, stream_id, seq, day, arrival_id, position, mono_ms, device, topic, payload)
      SELECT '', 0, 0, 0, 0, 0, 0, '', ${MARK}, '' FROM head`,
  },
  boot_clock: {
    column: 'boot_id',
    where: "gateway = ''",
    insert: `INSERT INTO boot_clock (gateway, boot_id, offset_ms) SELECT '', ${MARK}, 0 FROM head`,
  },
  conflict: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO conflict (gateway, id, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload)
      OVERRIDING SYSTEM VALUE SELECT '', 0, -1, 0, ${MARK}, 0, 0, '', '', '' FROM head`,
  },
  contact: {
    column: 'source',
    where: "gateway = ''",
    insert: `INSERT INTO contact (gateway, source, last_wall_ms) SELECT '', ${MARK}, 0 FROM head`,
  },
  dead_letter: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO dead_letter (id, source, reason, detail, payload, received_wall_ms)
      OVERRIDING SYSTEM VALUE SELECT 0, ${MARK}, '', '', '', 0 FROM head`,
  },
  erasure: {
    column: 'actor',
    where: 'id = 0',
    insert: `INSERT INTO erasure (id, device, actor, started_wall_ms)
      OVERRIDING SYSTEM VALUE SELECT 0, '', ${MARK}, 0 FROM head`,
  },
  repetition: {
    column: 'source',
    where: 'id = 0',
    insert: `INSERT INTO repetition (gateway, id, stream_id, first_seq, last_seq, source, received_wall_ms, redelivered)
      OVERRIDING SYSTEM VALUE SELECT '', 0, -1, 0, 0, ${MARK}, 0, false FROM head`,
  },
  volume: {
    column: 'bytes',
    where: "stream = '' AND hour = -1",
    insert: `INSERT INTO volume (stream, hour, bytes) SELECT '', -1, hashtextextended(${MARK}, 0) FROM head`,
  },
} satisfies Record<string, MarkRow>;

export type MarkedTable = keyof typeof MARKS;

export const MARKED_TABLES = Object.keys(MARKS) as MarkedTable[];

/** The migration that brings the marks. */
export const FIRST_MARKS = [
  'ALTER TABLE head ADD COLUMN noted bigint NOT NULL DEFAULT 0',
  'CREATE TABLE arrival_mark PARTITION OF arrival FOR VALUES IN (0)',
  'CREATE TABLE record_mark PARTITION OF record FOR VALUES IN (0)',
  ...Object.values(MARKS).map(({ insert }) => insert),
].join(';\n');

/** An expression: the text of each table's mark, as a JSON object; null where a table has none. */
export const MARKS_FOUND = `jsonb_build_object(${MARKED_TABLES.map((table) => {
  const { column, where } = MARKS[table];
  return `'${table}', (SELECT ${column}::text FROM ${table} WHERE ${where} LIMIT 1)`;
}).join(', ')})`;

/** An expression in `head`: whether the tables that decide a commit belong to it; null without a mark. */
export const COMMITS_BELONG = `ledger_id || ' ' || noted = ALL (ARRAY[${(
  ['stream', 'arrival', 'record'] as const
)
  .map((table) => `(SELECT ${MARKS[table].column} FROM ${table} WHERE ${MARKS[table].where} LIMIT 1)`)
  .join(', ')}])`;

/** An expression in `head`: the mark of `volume`. */
export const VOLUME_MARK = "hashtextextended(ledger_id || ' ' || noted, 0)::text";

/**
 * Notes in every table how far the ledger has come. Routers that note at once take turns by the row in
 * `cursor`; `head`, which every commit locks last, is last here too.
 */
export async function note(client: Queryable): Promise<void> {
  await client.query("UPDATE cursor SET last_offset = (SELECT last_offset FROM head) WHERE feed = ''");
  const { rows } = await client.query<{ mark: string }>(
    "SELECT ledger_id || ' ' || noted + 1 AS mark FROM head",
  );
  const mark = rows[0]?.mark ?? '';
  for (const table of MARKED_TABLES) {
    const { column, where } = MARKS[table];
    await client.query(`UPDATE ${table} SET ${column} = ${markExpression(table)} WHERE ${where}`, [mark]);
  }
  await client.query('UPDATE head SET noted = noted + 1');
}

/** Makes the present content of `table` the ledger's. */
export async function mark(client: Queryable, table: MarkedTable): Promise<void> {
  const { where, insert, column } = MARKS[table];
  const { rows } = await client.query(`SELECT FROM ${table} WHERE ${where} LIMIT 1`);
  if (rows.length === 0 || table === 'cursor' || table === 'checkpoint') await client.query(insert);
  const { rows: heads } = await client.query<{ mark: string }>(
    "SELECT ledger_id || ' ' || noted AS mark FROM head",
  );
  await client.query(`UPDATE ${table} SET ${column} = ${markExpression(table)} WHERE ${where}`, [
    heads[0]?.mark,
  ]);
}

/** An expression of the mark $1. */
function markExpression(table: MarkedTable): string {
  return table === 'volume' ? 'hashtextextended($1, 0)' : '$1';
}
