/**
 * The `dead_letter` rows: messages that are no valid envelope for this ledger, with their known properties.
 */

import type { DeadLetterFilter, DeadLetterHead, StoredDeadLetter } from '../maintenance.ts';
import { columnsOf, type DeadLetterRow, storedFrom } from '../sql/dead-letter-columns.ts';
import type { DeadLetter } from '../types.ts';
import type { Queryable } from './connection.ts';

const HEAD = `id, source, reason, detail, received_wall_ms AS "receivedWallMs", octet_length(payload) AS "sizeBytes"`;
const ROW = `${HEAD}, payload AS bytes, authenticated_gateway AS "authenticatedGateway", properties`;
const FILTER = `id > 0 AND ($1::bigint[] IS NULL OR id = ANY ($1)) AND ($2::text IS NULL OR source = $2)
  AND ($3::text IS NULL OR reason = $3) AND ($4::double precision IS NULL OR received_wall_ms < $4)`;

export async function insertDeadLetter(client: Queryable, letter: DeadLetter): Promise<void> {
  const { source, reason, detail, bytes, receivedWallMs, authenticatedGateway, properties, gateway } =
    columnsOf(letter);
  await client.query(
    `WITH counted AS (UPDATE head SET dead_letters = dead_letters + 1)
     INSERT INTO dead_letter (source, reason, detail, payload, received_wall_ms, authenticated_gateway, properties,
       gateway)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      source,
      reason,
      withoutNul(detail),
      bytes,
      receivedWallMs,
      authenticatedGateway === null ? null : withoutNul(authenticatedGateway),
      properties,
      withoutNul(gateway),
    ],
  );
}

export async function newestDeadLetters(client: Queryable, limit: number): Promise<StoredDeadLetter[]> {
  const { rows } = await client.query<DeadLetterRow>(
    `SELECT ${ROW} FROM dead_letter WHERE id > 0 ORDER BY id DESC LIMIT $1`,
    [limit],
  );
  return rows.map(storedFrom);
}

export async function deadLetterHeads(
  client: Queryable,
  filter: DeadLetterFilter,
  limit: number,
): Promise<DeadLetterHead[]> {
  const { rows } = await client.query<DeadLetterHead>(
    `SELECT ${HEAD} FROM dead_letter WHERE ${FILTER} ORDER BY id DESC LIMIT $5`,
    [...parameters(filter), limit],
  );
  return rows;
}

export async function loadDeadLetter(client: Queryable, id: number): Promise<StoredDeadLetter | null> {
  const { rows } = await client.query<DeadLetterRow>(
    `SELECT ${ROW} FROM dead_letter WHERE id = $1 AND id > 0`,
    [id],
  );
  return rows[0] ? storedFrom(rows[0]) : null;
}

export async function removeDeadLetters(client: Queryable, filter: DeadLetterFilter): Promise<number> {
  const { rows } = await client.query<{ removed: number }>(
    `WITH gone AS (DELETE FROM dead_letter WHERE ${FILTER} RETURNING id) SELECT count(*) AS removed FROM gone`,
    parameters(filter),
  );
  return rows[0]?.removed ?? 0;
}

function parameters({ ids, source, reason, beforeWallMs }: DeadLetterFilter): unknown[] {
  return [ids ?? null, source ?? null, reason ?? null, beforeWallMs ?? null];
}

/** Replaces U+0000, the one character that PostgreSQL's text cannot hold. (In JSON it is escaped.) */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\u{fffd}');
}
