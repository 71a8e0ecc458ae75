/**
 * Records leave PostgreSQL as whole partitions where all records of a day are due, and row by row where a day
 * also holds streams with a longer retention. Ids are marked first, in bounded transactions, and a partition
 * is dropped only when all of its ids are marked. A crash in between leaves marked records that the next step
 * drops; their ids stay known, so they are never accepted again.
 */
import type { SeqRange } from '../../../shared/record.ts';
import type { Retained } from '../maintenance.ts';
import {
  capsOfHolders,
  dueOf,
  hourOf,
  type Leaving,
  type Overfull,
  type RetentionRules,
  sharedOf,
  type Volume,
} from '../rules/retention.ts';
import { withdraw } from '../rules/rules.ts';
import type { Database, Queryable } from './connection.ts';
import { dayOf, dropPartitions, partitionDays } from './schema.ts';
import { bytesLeft, type Counted, dropHollowShares, heldBy, largestHolders } from './shares.ts';
import { lockStreamIds, writeStreams } from './streams.ts';

const STREAMS_PER_TRANSACTION = 200;
const ARRIVALS_PER_STEP = 200;
const RECORDS_PER_STEP = 2000;

type StreamRange = SeqRange & { gateway: string; streamId: number };

interface Arrival {
  gateway: string;
  id: number;
  day: number;
  streamId: number;
  stream: string;
  hour: number;
  /** 0 for an arrival that is in no share. */
  bytes: number;
  /** No fewer than its records. */
  records: number;
}

const ARRIVAL = `gateway, id, day, stream_id AS "streamId", stream, hour, coalesce(bytes, 0) AS bytes,
  last_offset - first_offset + 1 AS records`;

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
    const { rows } = await this.#db.query<Volume>(
      `SELECT stream, hour, bytes, greatest(0, bytes - shared) AS unshared FROM volume WHERE hour >= 0`,
    );
    const { leaving, overfull } = dueOf(rules, rows, sharedOf(rows), nowWallMs);
    const [oldest] = leaving;
    if (oldest) {
      const day = await this.#wholeDay(leaving, nowWallMs);
      const records =
        day === null
          ? await this.#db.transaction((client) => removeHour(client, oldest))
          : await this.#dropDay(day);
      return { records, more: true };
    }
    for (const one of overfull) {
      const step = await this.#db.transaction((client) => shrink(client, one, hourOf(nowWallMs)));
      if (step.arrivals > 0) return { records: step.records, more: true };
    }
    return { records: 0, more: false };
  }

  /** The first day before today of which all records are due. */
  async #wholeDay(leaving: readonly Leaving<Volume>[], nowWallMs: number): Promise<number | null> {
    const whole = leaving.filter(({ isWhole }) => isWhole);
    const names = new Set(whole.map(({ volume: { stream, hour } }) => `${hour}/${stream}`));
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
      const { rows: left } = await client.query<Counted>(
        `SELECT gateway, stream, hour, sum(bytes)::bigint AS bytes FROM arrival_${day} WHERE bytes IS NOT NULL
         GROUP BY gateway, stream, hour`,
      );
      await dropPartitions(client, this.#schema, day);
      await bytesLeft(client, left);
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
async function removeHour(
  client: Queryable,
  { volume: { stream, hour }, isWhole }: Leaving<Volume>,
): Promise<number> {
  const { rows: arrivals } = await client.query<Arrival>(
    `SELECT ${ARRIVAL} FROM arrival WHERE stream = $1 AND hour = $2 ${isWhole ? '' : 'AND bytes IS NULL'}
     LIMIT ${ARRIVALS_PER_STEP}`,
    [stream, hour],
  );
  const records = await removeArrivals(client, arrivals);
  if (arrivals.length < ARRIVALS_PER_STEP) {
    await client.query('UPDATE volume SET bytes = shared WHERE stream = $1 AND hour = $2', [stream, hour]);
    await removeEmptyVolumes(client, [{ stream, hour }]);
  }
  return records;
}

/** The gateways that hold most give up their oldest arrivals before `hour`. */
async function shrink(
  client: Queryable,
  overfull: Overfull,
  hour: number,
): Promise<{ arrivals: number; records: number }> {
  const { streams } = overfull;
  const largest = await largestHolders(client, streams);
  // Not by the volumes: of shares that were lost, none would be found, and those that are left would leave.
  const held = await heldBy(client, streams);
  const bytesOf = new Map(largest.map(({ gateway, bytes }) => [gateway, bytes]));
  const going: Arrival[] = [];
  let records = 0;
  const isFull = (): boolean => going.length >= ARRIVALS_PER_STEP || records >= RECORDS_PER_STEP;
  for (const { gateway, bytes } of capsOfHolders(largest, { ...overfull, held })) {
    if (isFull()) break;
    let surplus = (bytesOf.get(gateway) ?? 0) - bytes;
    const oldest = await oldestOf(client, gateway, streams);
    if (oldest === null) await dropHollowShares(client, gateway, streams);
    if (oldest === null || oldest.hour >= hour) continue;
    const { rows } = await client.query<Arrival>(
      `SELECT ${ARRIVAL} FROM arrival WHERE gateway = $1 AND stream = $2 AND hour = $3 AND bytes IS NOT NULL
       ORDER BY id LIMIT ${ARRIVALS_PER_STEP}`,
      [gateway, oldest.stream, oldest.hour],
    );
    for (const arrival of rows) {
      if (surplus <= 0 || isFull()) break;
      going.push(arrival);
      records += arrival.records;
      surplus -= arrival.bytes;
    }
  }
  const left = await removeArrivals(client, going);
  await removeEmptyVolumes(client, going);
  return { arrivals: going.length, records: left };
}

/** The oldest hour of a gateway's shares, one look in the index a stream; null without an arrival. */
async function oldestOf(
  client: Queryable,
  gateway: string,
  streams: readonly string[],
): Promise<{ stream: string; hour: number } | null> {
  const { rows } = await client.query<{ stream: string; hour: number }>(
    `SELECT * FROM (SELECT s.stream, (SELECT min(a.hour) FROM arrival a
         WHERE a.gateway = $1 AND a.stream = s.stream AND a.bytes IS NOT NULL) AS hour
       FROM unnest($2::text[]) AS s (stream)) found
     WHERE hour IS NOT NULL ORDER BY hour, stream LIMIT 1`,
    [gateway, streams],
  );
  return rows[0] ?? null;
}

/** Removes arrivals with their records, from volumes and shares too; returns the number of records. */
async function removeArrivals(client: Queryable, arrivals: readonly Arrival[]): Promise<number> {
  if (arrivals.length === 0) return 0;
  const locked = await lockStreamIds(client, arrivals);
  // Only those that no other router has removed meanwhile.
  const { rows: gone } = await client.query<
    Counted & SeqRange & { id: number; day: number; streamId: number }
  >(
    `DELETE FROM arrival a USING unnest($1::text[], $2::bigint[], $3::integer[]) AS i (gateway, id, day)
     WHERE a.gateway = i.gateway AND a.id = i.id AND a.day = i.day
     RETURNING a.gateway, a.id, a.day, a.stream_id AS "streamId", a.first_seq AS first, a.last_seq AS last,
       a.stream, a.hour, coalesce(a.bytes, 0) AS bytes`,
    [arrivals.map(({ gateway }) => gateway), arrivals.map(({ id }) => id), arrivals.map(({ day }) => day)],
  );
  const { rows } = await client.query<StreamRange>(
    `DELETE FROM record r USING unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[])
       AS g (gateway, id, day, stream_id, first_seq, last_seq)
     WHERE r.gateway = g.gateway AND r.stream_id = g.stream_id AND r.day = g.day AND r.arrival_id = g.id
       AND r.seq BETWEEN g.first_seq AND g.last_seq
     RETURNING r.gateway, r.stream_id AS "streamId", r.seq AS first, r.seq AS last`,
    [
      gone.map(({ gateway }) => gateway),
      gone.map(({ id }) => id),
      gone.map(({ day }) => day),
      gone.map(({ streamId }) => streamId),
      gone.map(({ first }) => first),
      gone.map(({ last }) => last),
    ],
  );
  await mark(client, locked, rows);
  await bytesLeft(client, gone);
  return rows.length;
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
