/**
 * Records leave PostgreSQL as whole partitions where all records of a day are due, and row by row where a day
 * also holds streams with a longer retention. Ids are marked first, in bounded transactions, and a partition
 * is dropped only when all of its ids are marked. A crash in between leaves marked records that the next step
 * drops; their ids stay known, so they are never accepted again.
 */
import type { SeqRange } from '../../../shared/record.ts';
import type { Retained } from '../maintenance.ts';
import { expired, hourOf, type RetentionRules, type Volume } from '../rules/retention.ts';
import { withdraw } from '../rules/rules.ts';
import type { Database, Queryable } from './connection.ts';
import { dayOf, dropPartitions, partitionDays } from './schema.ts';
import { lockStreamIds, writeStreams } from './streams.ts';

const STREAMS_PER_TRANSACTION = 200;
const ARRIVALS_PER_STEP = 200;

type StreamRange = SeqRange & { gateway: string; streamId: number };

export class Retention {
  readonly #db: Database;
  readonly #schema: string;
  /**
   * Partitions with records of a longer retention, and the hour in which they were found: they are not
   * searched every minute.
   */
  readonly #kept = new Map<number, number>();

  constructor(db: Database, schema: string) {
    this.#db = db;
    this.#schema = schema;
  }

  async step(rules: RetentionRules, nowWallMs: number): Promise<Retained> {
    if (rules.length === 0) return { records: 0, more: false };
    const { rows } = await this.#db.query<Volume>('SELECT stream, hour, bytes FROM volume WHERE hour >= 0');
    const leaving = expired(rules, rows, nowWallMs);
    const [oldest, ...others] = leaving;
    if (!oldest) return { records: 0, more: false };
    const day = await this.#wholeDay(leaving, nowWallMs);
    if (day !== null) return { records: await this.#dropDay(day), more: true };
    const { records, isEmpty } = await this.#db.transaction((client) => removeArrivals(client, oldest));
    return { records, more: !isEmpty || others.length > 0 };
  }

  /** The first day before today of which all records are due. */
  async #wholeDay(leaving: readonly Volume[], nowWallMs: number): Promise<number | null> {
    const names = new Set(leaving.map(({ stream, hour }) => `${hour}/${stream}`));
    for (const day of await partitionDays(this.#db)) {
      if (day >= dayOf(nowWallMs)) return null;
      if (this.#kept.get(day) === hourOf(nowWallMs)) continue;
      const { rows } = await this.#db.query<{ stream: string; hour: number }>(
        `SELECT DISTINCT stream, hour FROM arrival_${day}`,
      );
      if (rows.every(({ stream, hour }) => names.has(`${hour}/${stream}`))) return day;
      this.#kept.set(day, hourOf(nowWallMs));
    }
    return null;
  }

  async #dropDay(day: number): Promise<number> {
    let records = 0;
    let after = { gateway: '', streamId: 0 };
    for (;;) {
      const { rows } = await this.#db.query<typeof after>(
        `SELECT DISTINCT gateway, stream_id AS "streamId" FROM arrival_${day}
         WHERE (gateway, stream_id) > ($1, $2) ORDER BY gateway, stream_id LIMIT ${STREAMS_PER_TRANSACTION}`,
        [after.gateway, after.streamId],
      );
      const last = rows.at(-1);
      if (!last) break;
      records += await this.#db.transaction((client) => markRuns(client, day, rows));
      after = last;
    }
    await this.#db.transaction(async (client) => {
      const { rows } = await client.query<{ stream: string; hour: number }>(
        `SELECT DISTINCT stream, hour FROM arrival_${day}`,
      );
      await dropPartitions(client, this.#schema, day);
      await removeEmptyVolumes(client, rows);
    });
    return records;
  }
}

/** Marks the streams' records in the partition of `day`; returns their number. */
async function markRuns(
  client: Queryable,
  day: number,
  ids: readonly { gateway: string; streamId: number }[],
): Promise<number> {
  const locked = await lockStreamIds(client, ids);
  const { rows } = await client.query<StreamRange>(
    `SELECT gateway, stream_id AS "streamId", min(seq) AS first, max(seq) AS last FROM (
       SELECT gateway, stream_id, seq, seq - row_number() OVER (PARTITION BY gateway, stream_id ORDER BY seq) AS run
       FROM record_${day} WHERE (gateway, stream_id) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))) numbered
     GROUP BY gateway, stream_id, run`,
    [ids.map(({ gateway }) => gateway), ids.map(({ streamId }) => streamId)],
  );
  await mark(client, locked, rows);
  return rows.reduce((count, { first, last }) => count + last - first + 1, 0);
}

/** Removes some arrivals of one hour, with their records. */
async function removeArrivals(
  client: Queryable,
  { stream, hour }: Volume,
): Promise<{ records: number; isEmpty: boolean }> {
  const { rows: arrivals } = await client.query<{
    gateway: string;
    id: number;
    day: number;
    streamId: number;
  }>(
    `SELECT gateway, id, day, stream_id AS "streamId" FROM arrival WHERE stream = $1 AND hour = $2
     LIMIT ${ARRIVALS_PER_STEP}`,
    [stream, hour],
  );
  const locked = await lockStreamIds(client, arrivals);
  const { rows } = await client.query<StreamRange>(
    `WITH going AS (
       DELETE FROM arrival a USING unnest($1::text[], $2::bigint[], $3::integer[]) AS i (gateway, id, day)
       WHERE a.gateway = i.gateway AND a.id = i.id AND a.day = i.day
       RETURNING a.gateway, a.id, a.day, a.stream_id, a.first_seq, a.last_seq)
     DELETE FROM record r USING going g
     WHERE r.gateway = g.gateway AND r.stream_id = g.stream_id AND r.day = g.day AND r.arrival_id = g.id
       AND r.seq BETWEEN g.first_seq AND g.last_seq
     RETURNING r.gateway, r.stream_id AS "streamId", r.seq AS first, r.seq AS last`,
    [arrivals.map(({ gateway }) => gateway), arrivals.map(({ id }) => id), arrivals.map(({ day }) => day)],
  );
  await mark(client, locked, rows);
  const isEmpty = arrivals.length < ARRIVALS_PER_STEP;
  if (isEmpty) await removeEmptyVolumes(client, [{ stream, hour }]);
  return { records: rows.length, isEmpty };
}

/** Marks the records as withdrawn, and deletes their versions kept aside. */
async function mark(
  client: Queryable,
  locked: Awaited<ReturnType<typeof lockStreamIds>>,
  ranges: readonly StreamRange[],
): Promise<void> {
  if (ranges.length === 0) return;
  for (const stream of locked) {
    const own = ranges.filter(
      ({ gateway, streamId }) => streamId === stream.id && gateway === stream.key.gateway,
    );
    stream.state = withdraw(stream.state, own, 'retention');
  }
  await writeStreams(client, locked);
  await client.query(
    `DELETE FROM conflict c USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
       AS r (gateway, stream_id, first, last)
     WHERE c.gateway = r.gateway AND c.stream_id = r.stream_id AND c.seq BETWEEN r.first AND r.last`,
    [
      ranges.map(({ gateway }) => gateway),
      ranges.map(({ streamId }) => streamId),
      ranges.map(({ first }) => first),
      ranges.map(({ last }) => last),
    ],
  );
}

async function removeEmptyVolumes(
  client: Queryable,
  volumes: readonly { stream: string; hour: number }[],
): Promise<void> {
  await client.query(
    `DELETE FROM volume v USING unnest($1::text[], $2::integer[]) AS i (stream, hour)
     WHERE v.stream = i.stream AND v.hour = i.hour
       AND NOT EXISTS (SELECT FROM arrival a WHERE a.stream = v.stream AND a.hour = v.hour)`,
    [volumes.map(({ stream }) => stream), volumes.map(({ hour }) => hour)],
  );
}
