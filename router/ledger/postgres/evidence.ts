/**
 * The ledger's evidence: the other versions of records in conflict, and messages that are no envelope. Both
 * tables are bounded in rows and bytes (I10). Each replica checks the bound only after a number of additions,
 * so a table may exceed it by that number per replica.
 */
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { AsideVersion } from '../rules/repeated.ts';
import { type ConflictRow, conflictOf } from '../sql/conflict-row.ts';
import type { LedgerConflict, RecordContent } from '../types.ts';
import type { Queryable } from './connection.ts';
import { idColumns, idText, type StoredId } from './records.ts';

export interface EvidenceLimits {
  rowsMax: number;
  bytesMax: number;
  /** By wall time of receipt. Default: no bound. */
  ageMsMax?: number;
}

/** A version to keep aside. */
export type Aside = StoredId & AsideVersion;

const CHECK_EVERY_ROWS = 256;
const CHECK_EVERY_BYTES = 4 * 1024 * 1024;

/** Keeps one table within its limits. */
export class EvidenceBound {
  readonly #table: 'conflict' | 'dead_letter';
  readonly #limits: EvidenceLimits;
  readonly #log: SparseLog;
  #rows = 0;
  #bytes = 0;

  constructor(table: 'conflict' | 'dead_letter', limits: EvidenceLimits, log: SparseLog) {
    this.#table = table;
    this.#limits = limits;
    this.#log = log;
  }

  /** Counts additions after their commit, and drops the oldest rows when a check is due. */
  async added(db: Queryable, rows: number, bytes: number, nowWallMs: number): Promise<void> {
    this.#rows += rows;
    this.#bytes += bytes;
    if (this.#rows < CHECK_EVERY_ROWS && this.#bytes < CHECK_EVERY_BYTES) return;
    this.#rows = 0;
    this.#bytes = 0;
    await this.trim(db, nowWallMs);
  }

  /**
   * Drops the oldest rows beyond the limits in number, size or age. The newest row stays whatever its size,
   * but not whatever its age.
   */
  async trim(db: Queryable, nowWallMs: number): Promise<void> {
    const { rowsMax, bytesMax, ageMsMax } = this.#limits;
    const oldestWallMs = ageMsMax === undefined ? null : nowWallMs - ageMsMax;
    const dropped = await db.query(
      `DELETE FROM ${this.#table} WHERE id > 0 AND id <= (SELECT max(id) FROM (
         SELECT id, received_wall_ms, row_number() OVER newest AS rows, sum(octet_length(payload)) OVER newest AS bytes
         FROM ${this.#table} WHERE id > 0 WINDOW newest AS (ORDER BY id DESC)) kept
       WHERE (rows > 1 AND (rows > $1 OR bytes > $2)) OR received_wall_ms < $3) RETURNING id`,
      [rowsMax, bytesMax, oldestWallMs],
    );
    if (dropped.rows.length === 0) return;
    this.#log.warn('ledger.evidence_dropped', { table: this.#table, rows: dropped.rows.length });
  }
}

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
