/**
 * The `stream` rows: the interval sets that a commit decides by. A commit locks the rows of all its streams
 * before it reads them, in key order, so that two commits on any replicas take turns and never deadlock. New
 * rows are inserted first, in the same order: a later lock then waits for no insert.
 */
import type { StreamKey } from '../../../shared/record.ts';
import { BEFORE_ALL, type PageQuery } from '../paging.ts';
import { EMPTY_STREAM, type StreamState } from '../rules/rules.ts';
import { decodeState, encodeState, type StateColumns } from '../sql/stream-columns.ts';
import type { Queryable } from './connection.ts';

/** A stream in the running transaction. */
export interface LockedStream {
  readonly id: number;
  readonly key: StreamKey;
  /** As the row has it. */
  readonly before: StreamState;
  state: StreamState;
}

type StreamRow = StreamKey & StateColumns & { id: number };

const COLUMNS = `s.id, s.gateway, s.epoch, s.stream, s.seen, s.gap_quota AS "gapQuota", s.gap_age AS "gapAge",
  s.gap_corruption AS "gapCorruption", s.gap_other AS "gapOther", s.withdrawn, s.sealed_at AS "sealedAt", s.duplicates, s.conflicts,
  s.proof`;

/** Names may hold any character: with a plain separator two keys could be the same text. */
export function streamName({ gateway, epoch, stream }: StreamKey): string {
  return JSON.stringify([gateway, epoch, stream]);
}

/** Locks the rows of `keys` (created where missing) until the transaction ends; by {@link streamName}. */
export async function lockStreams(
  client: Queryable,
  keys: ReadonlyMap<string, StreamKey>,
): Promise<Map<string, LockedStream>> {
  const all = [...keys.values()];
  const names = [all.map((k) => k.gateway), all.map((k) => k.epoch), all.map((k) => k.stream)];
  const empty = encodeState(EMPTY_STREAM);
  await client.query(
    `INSERT INTO stream (gateway, epoch, stream, seen, gap_quota, gap_age, gap_corruption)
     SELECT k.gateway, k.epoch, k.stream, $4, $4, $4, $4
     FROM unnest($1::text[], $2::text[], $3::text[]) AS k (gateway, epoch, stream)
     WHERE NOT EXISTS (SELECT FROM stream s
       WHERE s.gateway = k.gateway AND s.epoch = k.epoch AND s.stream = k.stream)
     ORDER BY k.gateway, k.epoch, k.stream ON CONFLICT DO NOTHING`,
    [...names, empty.seen],
  );
  const { rows } = await client.query<StreamRow>(
    `SELECT ${COLUMNS} FROM stream s
     WHERE (s.gateway, s.epoch, s.stream) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
     ORDER BY s.gateway, s.epoch, s.stream FOR UPDATE`,
    names,
  );
  return new Map(rows.map((row) => [streamName(row), lockedFrom(row)]));
}

/** Locks existing rows by their ids, in key order. */
export async function lockStreamIds(
  client: Queryable,
  ids: readonly { gateway: string; streamId: number }[],
): Promise<LockedStream[]> {
  const { rows } = await client.query<StreamRow>(
    `SELECT ${COLUMNS} FROM stream s
     WHERE (s.gateway, s.id) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
     ORDER BY s.gateway, s.epoch, s.stream FOR UPDATE`,
    [ids.map(({ gateway }) => gateway), ids.map(({ streamId }) => streamId)],
  );
  return rows.map(lockedFrom);
}

function lockedFrom({ id, gateway, epoch, stream, ...columns }: StreamRow): LockedStream {
  const state = decodeState(columns);
  return { id, key: { gateway, epoch, stream }, before: state, state };
}

/** Writes the states of locked streams in one statement. */
export async function writeStreams(client: Queryable, streams: readonly LockedStream[]): Promise<void> {
  const columns = streams.map(({ state }) => encodeState(state));
  await client.query(
    `UPDATE stream s SET seen = n.seen, gap_quota = n.gap_quota, gap_age = n.gap_age,
       gap_corruption = n.gap_corruption, sealed_at = n.sealed_at, duplicates = n.duplicates, conflicts = n.conflicts,
       withdrawn = n.withdrawn, gap_other = n.gap_other, proof = n.proof
     FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bigint[],
       $8::bigint[], $9::bigint[], $10::bytea[], $11::bytea[], $12::bytea[])
       AS n (gateway, id, seen, gap_quota, gap_age, gap_corruption, sealed_at, duplicates, conflicts, withdrawn,
         gap_other, proof)
     WHERE s.gateway = n.gateway AND s.id = n.id`,
    [
      streams.map(({ key }) => key.gateway),
      streams.map(({ id }) => id),
      columns.map(({ seen }) => seen),
      columns.map(({ gapQuota }) => gapQuota),
      columns.map(({ gapAge }) => gapAge),
      columns.map(({ gapCorruption }) => gapCorruption),
      columns.map(({ sealedAt }) => sealedAt),
      columns.map(({ duplicates }) => duplicates),
      columns.map(({ conflicts }) => conflicts),
      columns.map(({ withdrawn }) => withdrawn),
      columns.map(({ gapOther }) => gapOther),
      columns.map(({ proof }) => proof),
    ],
  );
}

/** One stream, without a lock. */
export async function findStream(
  client: Queryable,
  { gateway, epoch, stream }: StreamKey,
): Promise<{ id: number; state: StreamState } | null> {
  const { rows } = await client.query<StreamRow>(
    `SELECT ${COLUMNS} FROM stream s WHERE s.gateway = $1 AND s.epoch = $2 AND s.stream = $3`,
    [gateway, epoch, stream],
  );
  const [row] = rows;
  return row ? { id: row.id, state: decodeState(row) } : null;
}

/** All streams, or one gateway's, in the order of their creation. */
export async function listStreams(client: Queryable, gateway: string | undefined): Promise<LockedStream[]> {
  const { rows } = await client.query<StreamRow>(
    `SELECT ${COLUMNS} FROM stream s WHERE s.id > 0 AND ($1::text IS NULL OR s.gateway = $1) ORDER BY s.gateway, s.id`,
    [gateway ?? null],
  );
  return rows.map(lockedFrom);
}

/** The streams after a key, one more than `limit` where there are more; by the index of the primary key. */
export async function listPage(
  client: Queryable,
  { gateway, after, limit }: PageQuery,
): Promise<Pick<LockedStream, 'key' | 'state'>[]> {
  const from = after ?? { ...BEFORE_ALL, gateway: gateway ?? BEFORE_ALL.gateway };
  const { rows } = await client.query<StreamRow>(
    `SELECT ${COLUMNS} FROM stream s
     WHERE s.id > 0 AND (s.gateway, s.epoch, s.stream) > ($1, $2, $3) ${gateway === undefined ? '' : 'AND s.gateway = $5'}
     ORDER BY s.gateway, s.epoch, s.stream LIMIT $4`,
    [from.gateway, from.epoch, from.stream, limit + 1, ...(gateway === undefined ? [] : [gateway])],
  );
  return rows.map((row) => ({ key: row, state: decodeState(row) }));
}
