/**
 * Finds the entries of a commit that a lock blocks. A commit locks the row of each stream, and of each
 * gateway's contact and clock; one row locked by another program must not block other gateways.
 */
import type { StreamKey } from '../../../shared/record.ts';
import { isContactOnly } from '../rules/rules.ts';
import type { LedgerEntry } from '../types.ts';
import type { Queryable } from './connection.ts';
import { streamName } from './streams.ts';

/** The entries whose rows are locked now. Empty when the lock is on a row that every commit needs. */
export async function blockedEntries(
  client: Queryable,
  entries: readonly LedgerEntry[],
): Promise<ReadonlySet<LedgerEntry>> {
  const streams = await lockedStreams(client, entries);
  const gateways = await lockedGateways(client, entries);
  const blocked = entries.filter(
    ({ envelope }) =>
      gateways.has(envelope.gateway) || (!isContactOnly(envelope) && streams.has(streamName(envelope))),
  );
  return new Set(blocked);
}

async function lockedStreams(client: Queryable, entries: readonly LedgerEntry[]): Promise<Set<string>> {
  const keys = entries.map(({ envelope }) => envelope);
  const { rows } = await client.query<StreamKey>(
    `WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k (gateway, epoch, stream)),
       free AS (SELECT s.gateway, s.epoch, s.stream FROM stream s
         WHERE (s.gateway, s.epoch, s.stream) IN (SELECT * FROM wanted) FOR UPDATE SKIP LOCKED)
     SELECT s.gateway, s.epoch, s.stream FROM stream s
     WHERE (s.gateway, s.epoch, s.stream) IN (SELECT * FROM wanted)
     EXCEPT SELECT * FROM free`,
    [keys.map(({ gateway }) => gateway), keys.map(({ epoch }) => epoch), keys.map(({ stream }) => stream)],
  );
  return new Set(rows.map(streamName));
}

async function lockedGateways(client: Queryable, entries: readonly LedgerEntry[]): Promise<Set<string>> {
  const gateways = [[...new Set(entries.map(({ envelope }) => envelope.gateway))]];
  const locked = new Set<string>();
  for (const table of ['contact', 'boot_clock']) {
    const { rows } = await client.query<{ gateway: string }>(
      `WITH free AS (SELECT ctid FROM ${table} WHERE gateway = ANY ($1::text[]) FOR UPDATE SKIP LOCKED)
       SELECT DISTINCT gateway FROM ${table}
       WHERE gateway = ANY ($1::text[]) AND ctid NOT IN (SELECT ctid FROM free)`,
      gateways,
    );
    for (const { gateway } of rows) locked.add(gateway);
  }
  return locked;
}
