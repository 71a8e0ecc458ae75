/**
 * Reads the stored versions of repeated records. Repeated ids form ranges, and each range is one scan of the
 * primary key. With a plain join on a list of ids, the planner, which cannot estimate the list, may read all
 * arrivals and their records instead. OFFSET 0 keeps a subquery from being merged into the outer query
 * (PostgreSQL 15, 7.6 and planner source, `is_simple_subquery`).
 */
import type { SeqRange } from '../../../shared/record.ts';
import type { HeldVersion, RecordContent } from '../types.ts';
import type { Queryable } from './connection.ts';
import { idText, type StoredId } from './records.ts';

interface Run extends SeqRange {
  gateway: string;
  streamId: number;
}

interface HeldRow extends RecordContent, StoredId {
  arrivalId: number;
  day: number;
}

type Way = Pick<HeldVersion, 'source' | 'receivedWallMs' | 'sentAs'>;

/** By {@link idText}; always two statements. */
export async function heldVersions(
  client: Queryable,
  ids: readonly StoredId[],
): Promise<Map<string, HeldVersion>> {
  const runs = runsOf(ids);
  if (runs.length === 0) return new Map();
  const { rows } = await client.query<HeldRow>(
    `SELECT i.gateway, i.stream_id AS "streamId", r.* FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
         AS i (gateway, stream_id, first, last)
       CROSS JOIN LATERAL (
         SELECT r.seq, r.device, r.topic, r.payload, r.mono_ms AS "monoMs", r.arrival_id AS "arrivalId", r.day
         FROM record r WHERE r.gateway = i.gateway AND r.stream_id = i.stream_id AND r.seq BETWEEN i.first AND i.last
         OFFSET 0) r`,
    [
      runs.map(({ gateway }) => gateway),
      runs.map(({ streamId }) => streamId),
      runs.map(({ first }) => first),
      runs.map(({ last }) => last),
    ],
  );
  const ways = await waysOf(client, rows);
  return new Map(
    rows.flatMap(({ streamId, seq, device, topic, payload, monoMs, arrivalId }) => {
      const way = ways.get(arrivalId);
      return way ? [[idText(streamId, seq), { device, topic, payload, monoMs, ...way }]] : [];
    }),
  );
}

/** The source and send reason of the arrivals of `rows`, by arrival id. */
async function waysOf(client: Queryable, rows: readonly HeldRow[]): Promise<Map<number, Way>> {
  const arrivals = [...new Map(rows.map((row) => [row.arrivalId, row])).values()];
  const { rows: ways } = await client.query<Way & { id: number }>(
    `SELECT a.* FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS i (gateway, id, day)
       CROSS JOIN LATERAL (
         SELECT a.id, a.source, a.received_wall_ms AS "receivedWallMs", a.sent_as AS "sentAs"
         FROM arrival a WHERE a.gateway = i.gateway AND a.id = i.id AND a.day = i.day OFFSET 0) a`,
    [
      arrivals.map(({ gateway }) => gateway),
      arrivals.map(({ arrivalId }) => arrivalId),
      arrivals.map(({ day }) => day),
    ],
  );
  return new Map(ways.map(({ id, ...way }) => [id, way]));
}

/** Consecutive ids as ranges, in the given order. */
function runsOf(ids: readonly StoredId[]): Run[] {
  const runs: Run[] = [];
  for (const { gateway, streamId, seq } of ids) {
    const run = runs.at(-1);
    if (run?.streamId === streamId && run.gateway === gateway && seq === run.last + 1) run.last = seq;
    else runs.push({ gateway, streamId, first: seq, last: seq });
  }
  return runs;
}
