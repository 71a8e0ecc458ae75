/** The `repetition` rows in PostgreSQL, and the whereabouts of one record. */
import {
  absentState,
  type MarkedSighting,
  REPETITIONS_MAX,
  type RecordId,
  type Repetition,
  SIGHTINGS_TOLD_MAX,
  type Sighting,
  sightingOf,
  type Whereabouts,
} from '../whereabouts.ts';
import type { Queryable } from './connection.ts';
import { findStream } from './streams.ts';

/** A range of repeated records of one stream. */
export interface StoredRepetition extends Repetition {
  gateway: string;
  streamId: number;
}

export async function insertRepetitions(client: Queryable, rows: readonly StoredRepetition[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO repetition (gateway, stream_id, first_seq, last_seq, source, received_wall_ms, redelivered, sent_as)
     SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::double precision[],
       $7::boolean[], $8::text[])`,
    [
      rows.map(({ gateway }) => gateway),
      rows.map(({ streamId }) => streamId),
      rows.map(({ first }) => first),
      rows.map(({ last }) => last),
      rows.map(({ source }) => source),
      rows.map(({ receivedWallMs }) => receivedWallMs),
      rows.map(({ redelivered }) => redelivered),
      rows.map(({ sentAs }) => sentAs),
    ],
  );
}

/** Deletes the oldest. Ids may have gaps, so slightly fewer rows than the bound may stay. */
export async function trimRepetitions(client: Queryable): Promise<void> {
  await client.query(
    `DELETE FROM repetition WHERE id > 0 AND id <= (SELECT max(id) FROM repetition) - ${REPETITIONS_MAX}`,
  );
}

export async function whereabouts(client: Queryable, id: RecordId): Promise<Whereabouts> {
  const stream = await findStream(client, id);
  if (!stream) return { ...id, state: 'never-seen', offset: null, first: null, again: [], aside: [] };
  const place = [id.gateway, stream.id, id.seq];
  const { rows: held } = await client.query<MarkedSighting & { offset: number }>(
    `SELECT a.first_offset + r.position AS "offset", a.source, a.received_wall_ms AS "receivedWallMs",
       a.sent_as AS "sentAs"
     FROM record r JOIN arrival a ON a.gateway = r.gateway AND a.id = r.arrival_id AND a.day = r.day
     WHERE r.gateway = $1 AND r.stream_id = $2 AND r.seq = $3`,
    place,
  );
  const { rows: again } = await client.query<MarkedSighting & { redelivered: boolean }>(
    `SELECT source, received_wall_ms AS "receivedWallMs", redelivered, sent_as AS "sentAs" FROM repetition
     WHERE gateway = $1 AND stream_id = $2 AND first_seq <= $3 AND last_seq >= $3
     ORDER BY id DESC LIMIT ${SIGHTINGS_TOLD_MAX}`,
    place,
  );
  const { rows: aside } = await client.query<Sighting>(
    `SELECT source, received_wall_ms AS "receivedWallMs" FROM conflict
     WHERE gateway = $1 AND stream_id = $2 AND seq = $3 ORDER BY id`,
    place,
  );
  const [stands] = held;
  const first = stands ? { source: stands.source, receivedWallMs: stands.receivedWallMs } : null;
  return {
    ...id,
    state: stands ? 'held' : absentState(stream.state, id.seq),
    offset: stands?.offset ?? null,
    first,
    again: again.map((told) => sightingOf(told, stands)),
    aside,
  };
}
