/** The ledger's evidence: the other versions of records in conflict. */
import type { AsideVersion } from '../rules/repeated.ts';
import { type ConflictRow, conflictOf } from '../sql/conflict-row.ts';
import type { LedgerConflict, RecordContent } from '../types.ts';
import type { Queryable } from './connection.ts';
import { idColumns, idText, type StoredId } from './records.ts';

/** A version to keep aside. */
export type Aside = StoredId & AsideVersion;

/** The versions kept aside under `ids`, by {@link idText}. */
export async function asideVersions(
  client: Queryable,
  ids: readonly StoredId[],
): Promise<Map<string, RecordContent[]>> {
  const versions = new Map<string, RecordContent[]>();
  if (ids.length === 0) return versions;
  const { rows } = await client.query<RecordContent & { streamId: number; seq: number }>(
    `SELECT c.stream_id AS "streamId", c.seq, c.device, c.topic, c.payload, c.mono_ms AS "monoMs"
     FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS i (gateway, stream_id, seq)
       JOIN conflict c ON c.gateway = i.gateway AND c.stream_id = i.stream_id AND c.seq = i.seq`,
    idColumns(ids),
  );
  for (const row of rows) {
    const id = idText(row.streamId, row.seq);
    versions.set(id, [...(versions.get(id) ?? []), row]);
  }
  return versions;
}

export async function insertAside(client: Queryable, aside: readonly Aside[]): Promise<void> {
  if (aside.length === 0) return;
  await client.query(
    `INSERT INTO conflict (gateway, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload, standing)
     SELECT c.gateway, c.stream_id, c.seq, c.source, c.received_wall_ms, c.mono_ms, c.device, c.topic, c.payload, c.standing
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::double precision[], $6::double precision[],
       $7::text[], $8::text[], $9::bytea[], $10::boolean[]) WITH ORDINALITY
       AS c (gateway, stream_id, seq, source, received_wall_ms, mono_ms, device, topic, payload, standing, i) ORDER BY c.i`,
    [
      ...idColumns(aside),
      aside.map(({ version }) => version.source),
      aside.map(({ version }) => version.receivedWallMs),
      aside.map(({ version }) => version.monoMs),
      aside.map(({ version }) => version.device),
      aside.map(({ version }) => version.topic),
      aside.map(({ version }) => version.payload),
      aside.map(({ stood }) => stood),
    ],
  );
}

/** Other records stand under these ids now. */
export async function standNoMore(client: Queryable, ids: readonly StoredId[]): Promise<void> {
  if (ids.length === 0) return;
  await client.query(
    `UPDATE conflict c SET standing = false
     FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS i (gateway, stream_id, seq)
     WHERE c.gateway = i.gateway AND c.stream_id = i.stream_id AND c.seq = i.seq AND c.standing`,
    idColumns(ids),
  );
}

export async function newestConflicts(client: Queryable, limit: number): Promise<LedgerConflict[]> {
  const { rows } = await client.query<ConflictRow>(
    `SELECT s.gateway, s.epoch, s.stream, c.seq, c.device, c.topic, c.payload, c.mono_ms AS "monoMs", c.source,
       c.received_wall_ms AS "receivedWallMs", coalesce(r.device, f.device) AS "heldDevice",
       coalesce(r.topic, f.topic) AS "heldTopic", coalesce(r.payload, f.payload) AS "heldPayload",
       coalesce(r.mono_ms, f.mono_ms) AS "heldMonoMs", coalesce(a.source, f.source) AS "heldSource",
       coalesce(a.received_wall_ms, f.received_wall_ms) AS "heldReceivedWallMs"
     FROM conflict c JOIN stream s ON s.gateway = c.gateway AND s.id = c.stream_id
       LEFT JOIN record r ON r.gateway = c.gateway AND r.stream_id = c.stream_id AND r.seq = c.seq
       LEFT JOIN arrival a ON a.gateway = r.gateway AND a.id = r.arrival_id AND a.day = r.day
       LEFT JOIN conflict f ON f.gateway = c.gateway AND f.stream_id = c.stream_id AND f.seq = c.seq AND f.standing
     WHERE NOT c.standing AND (r.seq IS NOT NULL OR f.id IS NOT NULL)
     ORDER BY c.id DESC LIMIT $1`,
    [limit],
  );
  return rows.map(conflictOf);
}
