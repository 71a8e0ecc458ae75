/**
 * The bytes by stream name and hour (`volume`), and by gateway and stream name (`share`). Both change in the
 * transaction that stores or removes the records, under the lock of `head`, so the order of their rows is
 * free. An arrival from before shares were counted, or of an older router, has no `bytes` and is in no share.
 * An older router may remove an arrival without its share: a share is clamped at 0, and one without arrivals
 * is dropped.
 */

import type { StoredBytes } from '../maintenance.ts';
import { HOLDERS_MAX, type Holder, RECORD_BYTES } from '../rules/retention.ts';
import { sharesQuery } from '../verify.ts';
import type { Queryable } from './connection.ts';

/** The part of `storedBytes` that one record takes, as an expression on a record `r`. */
export const ROW_BYTES = `${RECORD_BYTES} + octet_length(r.device) + octet_length(r.topic) + octet_length(r.payload)`;

export interface Counted {
  gateway: string;
  stream: string;
  hour: number;
  bytes: number;
}

/** A deleted record of an arrival that stays. */
export interface GoneRecord {
  gateway: string;
  arrival: number;
  day: number;
  bytes: number;
}

/** Takes the records' bytes from their arrivals, volumes and shares; locks `head`. */
export async function recordsLeft(client: Queryable, records: readonly GoneRecord[]): Promise<void> {
  if (records.length === 0) return;
  const { rows } = await client.query<Counted>(
    `UPDATE arrival a SET bytes = greatest(0, a.bytes - i.bytes)
     FROM (SELECT gateway, arrival, day, sum(bytes) AS bytes
       FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[]) AS r (gateway, arrival, day, bytes)
       GROUP BY gateway, arrival, day) i
     WHERE a.gateway = i.gateway AND a.id = i.arrival AND a.day = i.day AND a.bytes IS NOT NULL
     RETURNING a.gateway, a.stream, a.hour, i.bytes::bigint AS bytes`,
    [
      records.map(({ gateway }) => gateway),
      records.map(({ arrival }) => arrival),
      records.map(({ day }) => day),
      records.map(({ bytes }) => bytes),
    ],
  );
  await bytesLeft(client, rows);
}

/** Takes bytes from volumes and shares, and drops those that are empty; locks `head`. */
export async function bytesLeft(client: Queryable, left: readonly Counted[]): Promise<void> {
  if (left.length === 0) return;
  await client.query('SELECT FROM head FOR UPDATE');
  const columns = [
    left.map(({ gateway }) => gateway),
    left.map(({ stream }) => stream),
    left.map(({ hour }) => hour),
    left.map(({ bytes }) => bytes),
  ];
  const rows =
    'unnest($1::text[], $2::text[], $3::integer[], $4::bigint[]) AS l (gateway, stream, hour, bytes)';
  await client.query(
    `WITH gone AS (SELECT * FROM ${rows}),
       smaller AS (UPDATE share s SET bytes = greatest(0, s.bytes - g.bytes)
         FROM (SELECT gateway, stream, sum(bytes) AS bytes FROM gone GROUP BY gateway, stream) g
         WHERE s.gateway = g.gateway AND s.stream = g.stream)
     UPDATE volume v SET bytes = greatest(0, v.bytes - g.bytes), shared = greatest(0, v.shared - g.bytes)
     FROM (SELECT stream, hour, sum(bytes) AS bytes FROM gone GROUP BY stream, hour) g
     WHERE v.stream = g.stream AND v.hour = g.hour`,
    columns,
  );
  await client.query(
    `DELETE FROM share s USING unnest($1::text[], $2::text[]) AS l (gateway, stream)
     WHERE s.gateway = l.gateway AND s.stream = l.stream AND s.bytes = 0`,
    columns.slice(0, 2),
  );
}

/** The largest holders of `streams`, the largest first. */
export async function largestHolders(client: Queryable, streams: readonly string[]): Promise<Holder[]> {
  const { rows } = await client.query<Holder>(
    `SELECT gateway, sum(bytes)::bigint AS bytes FROM share WHERE stream = ANY ($1::text[])
     GROUP BY gateway ORDER BY 2 DESC, 1 LIMIT ${HOLDERS_MAX}`,
    [streams],
  );
  return rows;
}

/** The bytes of all shares of `streams`. */
export async function heldBy(client: Queryable, streams: readonly string[]): Promise<number> {
  const { rows } = await client.query<{ held: number }>(
    'SELECT coalesce(sum(bytes), 0)::bigint AS held FROM share WHERE stream = ANY ($1::text[])',
    [streams],
  );
  return rows[0]?.held ?? 0;
}

export async function storedBytesOf(client: Queryable, limit: number): Promise<StoredBytes> {
  const { rows: totals } = await client.query<{ total: number }>(
    'SELECT coalesce(sum(bytes), 0)::bigint AS total FROM volume WHERE hour >= 0',
  );
  const { rows: gateways } = await client.query<Holder>(
    'SELECT gateway, sum(bytes)::bigint AS bytes FROM share GROUP BY gateway ORDER BY 2 DESC, 1 LIMIT $1',
    [limit],
  );
  return { total: totals[0]?.total ?? 0, gateways };
}

/** Drops the shares of a gateway in `streams` of which there is no arrival. */
export async function dropHollowShares(
  client: Queryable,
  gateway: string,
  streams: readonly string[],
): Promise<void> {
  await client.query('SELECT FROM head FOR UPDATE');
  await client.query(
    `DELETE FROM share s WHERE s.gateway = $1 AND s.stream = ANY ($2::text[]) AND NOT EXISTS (
       SELECT FROM arrival a WHERE a.gateway = s.gateway AND a.stream = s.stream AND a.bytes IS NOT NULL)`,
    [gateway, streams],
  );
}

const COUNTED = 'gateway AS owner, stream AS name, gateway, id, day FROM arrival WHERE bytes IS NOT NULL';

/** The shares whose bytes are not those of their records. */
export async function differingShares(client: Queryable): Promise<{ gateway: string; stream: string }[]> {
  const { rows } = await client.query<{ gateway: string; stream: string }>(
    sharesQuery({
      arrivals: `(SELECT ${COUNTED}) a`,
      records: `record r JOIN (SELECT ${COUNTED}) a ON a.gateway = r.gateway AND a.id = r.arrival_id AND a.day = r.day`,
      rowBytes: ROW_BYTES,
    }),
  );
  return rows;
}
