/**
 * Erasing a device from PostgreSQL, and the `erasure` rows with their actors. The server's vacuum overwrites
 * deleted rows.
 */
import type { SeqRange } from '../../../shared/record.ts';
import type { ErasureWindow } from '../erasure.ts';
import { withdraw } from '../rules/rules.ts';
import type { Erasure, ErasureTarget } from '../types.ts';
import type { Queryable } from './connection.ts';
import { ROW_BYTES, recordsLeft } from './shares.ts';
import { lockStreamIds, writeStreams } from './streams.ts';

export interface ErasableStream {
  gateway: string;
  streamId: number;
  max: number;
}

type StoredSeq = SeqRange & { gateway: string; streamId: number };
type StoredRecord = StoredSeq & { arrival: number; day: number; bytes: number };

const COLUMNS = `id, device, gateway, actor, started_wall_ms AS "startedWallMs", finished_wall_ms AS "finishedWallMs",
  records, versions, dead_letters AS "deadLetters"`;

export async function beginErasure(
  client: Queryable,
  { device, gateway }: ErasureTarget,
  actor: string,
  startedWallMs: number,
): Promise<number> {
  const { rows } = await client.query<{ id: number }>(
    'INSERT INTO erasure (device, gateway, actor, started_wall_ms) VALUES ($1, $2, $3, $4) RETURNING id',
    [device, gateway, actor, startedWallMs],
  );
  return rows[0]?.id ?? 0;
}

/** The work of one transaction. */
export async function eraseWindow(
  client: Queryable,
  erasure: number,
  device: string,
  { streams, first, last }: ErasureWindow<ErasableStream>,
): Promise<void> {
  const locked = await lockStreamIds(client, streams);
  const values = [
    streams.map(({ gateway }) => gateway),
    streams.map(({ streamId }) => streamId),
    first,
    last,
    device,
  ];
  const remove = async <Row extends StoredSeq>(table: string, columns = ''): Promise<Row[]> => {
    const { rows } = await client.query<Row>(
      `DELETE FROM ${table} r USING unnest($1::text[], $2::bigint[]) AS s (gateway, stream_id)
       WHERE r.gateway = s.gateway AND r.stream_id = s.stream_id AND r.seq BETWEEN $3 AND $4 AND r.device = $5
       RETURNING r.gateway, r.stream_id AS "streamId", r.seq AS first, r.seq AS last${columns}`,
      values,
    );
    return rows;
  };
  const taken = `, r.arrival_id AS arrival, r.day, ${ROW_BYTES} AS bytes`;
  const records = await remove<StoredRecord>('record', taken);
  const versions = await remove('conflict');
  const gone = [...records, ...versions];
  if (gone.length === 0) return;
  for (const stream of locked) {
    const own = gone.filter(
      ({ gateway, streamId }) => streamId === stream.id && gateway === stream.key.gateway,
    );
    if (own.length > 0) stream.state = withdraw(stream.state, own, 'erasure');
  }
  await writeStreams(client, locked);
  await client.query('UPDATE erasure SET records = records + $1, versions = versions + $2 WHERE id = $3', [
    records.length,
    versions.length,
    erasure,
  ]);
  await recordsLeft(client, records);
}

export async function finishErasure(
  client: Queryable,
  erasure: number,
  deadLetters: number,
  finishedWallMs: number,
): Promise<Erasure> {
  const { rows } = await client.query<Erasure>(
    `UPDATE erasure SET dead_letters = $1, finished_wall_ms = $2 WHERE id = $3 RETURNING ${COLUMNS}`,
    [deadLetters, finishedWallMs, erasure],
  );
  const [done] = rows;
  if (!done) throw new Error(`there is no erasure ${erasure}`);
  return done;
}

export async function newestErasures(client: Queryable, limit: number): Promise<Erasure[]> {
  const { rows } = await client.query<Erasure>(
    `SELECT ${COLUMNS} FROM erasure WHERE id > 0 ORDER BY id DESC LIMIT $1`,
    [limit],
  );
  return rows;
}
