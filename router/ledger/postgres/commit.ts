/**
 * The body of one commit's transaction: a fixed number of statements for any number of envelopes and records.
 *
 * 1. Lock the streams' rows, in key order.
 * 2. Decide by the rules which records are new.
 * 3. Read the held versions of the others, and settle them (repeated.ts).
 * 4. Write records, streams, versions aside and contacts.
 * 5. Assign the offsets, last (records.ts).
 */
import { BOOT_CLOCK_WRITE_MS, type BootClock, bootClocksOf } from '../rules/boot-clocks.ts';
import type { ConflictPolicyOf } from '../rules/conflict-policy.ts';
import { nothingCommitted } from '../rules/outcome.ts';
import { absorb, isContactOnly } from '../rules/rules.ts';
import { type CommitResult, type LedgerEntry, LedgerLost } from '../types.ts';
import type { Queryable } from './connection.ts';
import { insertAside, standNoMore } from './evidence.ts';
import { COMMITS_BELONG } from './marks.ts';
import { type Fresh, giveOffsets, insertRecords, removeRecords } from './records.ts';
import { type Absorbed, settleRepeated, unsettled } from './repeated.ts';
import { recordsLeft } from './shares.ts';
import { type LockedStream, lockStreams, streamName, writeStreams } from './streams.ts';
import { insertRepetitions } from './whereabouts.ts';

/** The result of a commit, for the log lines after it. */
export interface Committed {
  results: CommitResult[];
  absorbed: readonly Absorbed[];
  /** Rows added to `repetition`. */
  repetitions: number;
  /** The versions kept aside. */
  aside: { rows: number; bytes: number };
}

export interface CommitOptions {
  /** The id of the opened ledger. */
  id: string;
  /** Partition of the new records. */
  day: number;
  conflictPolicyOf: ConflictPolicyOf;
}

/** Throws LedgerLost when the tables belong to another ledger now. */
export async function commitEntries(
  client: Queryable,
  entries: readonly LedgerEntry[],
  { id, day, conflictPolicyOf }: CommitOptions,
): Promise<Committed> {
  const telling = entries.filter(({ envelope }) => !isContactOnly(envelope));
  const streams =
    telling.length === 0
      ? new Map<string, LockedStream>()
      : await lockStreams(client, new Map(telling.map(({ envelope }) => [streamName(envelope), envelope])));
  const absorbed = telling.map((entry) => absorbEntry(entry, streams));
  const repeats = await settleRepeated(client, absorbed, conflictPolicyOf);
  const { aside, displaced, reinstated, repetitions } = repeats;
  if (streams.size > 0) await writeStreams(client, [...streams.values()]);
  await insertAside(client, aside);
  await standNoMore(client, reinstated);
  await insertRepetitions(client, repetitions);
  await saveContacts(client, entries, id);
  await saveBootClocks(client, bootClocksOf(entries));
  const gone = await removeRecords(client, displaced);
  const fresh = absorbed.flatMap(({ entry, stream, stored }): Fresh[] =>
    stored
      .filter((records) => records.length > 0)
      .map((records) => ({ streamId: stream.id, entry, records })),
  );
  if (fresh.length > 0) {
    const arrivals = await insertRecords(client, fresh, day);
    await giveOffsets(client, fresh, arrivals, day);
  }
  await recordsLeft(client, gone);
  const judged = absorbed.values();
  return {
    results: entries.map(({ envelope }) =>
      isContactOnly(envelope) ? nothingCommitted() : (judged.next().value?.result ?? nothingCommitted()),
    ),
    absorbed,
    repetitions: repetitions.length,
    aside: {
      rows: aside.length,
      bytes: aside.reduce((sum, { version }) => sum + version.payload.byteLength, 0),
    },
  };
}

function absorbEntry(entry: LedgerEntry, streams: ReadonlyMap<string, LockedStream>): Absorbed {
  const stream = streams.get(streamName(entry.envelope));
  if (!stream) throw new Error('a stream of the commit was not locked');
  const absorption = absorb(stream.state, entry.envelope, entry);
  stream.state = absorption.state;
  return unsettled(stream, entry, absorption);
}

/** In key order, so that concurrent commits wait for each other without a deadlock. */
async function saveBootClocks(client: Queryable, clocks: readonly BootClock[]): Promise<void> {
  if (clocks.length === 0) return;
  await client.query(
    `INSERT INTO boot_clock (gateway, boot_id, offset_ms)
     SELECT c.gateway, c.boot_id, c.offset_ms
     FROM unnest($1::text[], $2::text[], $3::double precision[], $4::boolean[]) AS c (gateway, boot_id, offset_ms, verified)
     WHERE c.verified OR NOT EXISTS (SELECT FROM boot_clock b WHERE b.gateway = c.gateway AND b.boot_id = c.boot_id)
     ORDER BY c.gateway, c.boot_id
     ON CONFLICT (gateway, boot_id) DO UPDATE SET offset_ms = excluded.offset_ms
     WHERE abs(boot_clock.offset_ms - excluded.offset_ms) >= ${BOOT_CLOCK_WRITE_MS}`,
    [
      clocks.map(({ gateway }) => gateway),
      clocks.map(({ bootId }) => bootId),
      clocks.map(({ offsetMs }) => offsetMs),
      clocks.map(({ verified }) => verified),
    ],
  );
}

/** Also checks the ledger's id and the marks of the tables, in the same statement. */
async function saveContacts(client: Queryable, entries: readonly LedgerEntry[], id: string): Promise<void> {
  const contacts = new Map(
    entries.map((entry) => [JSON.stringify([entry.envelope.gateway, entry.source]), entry]),
  );
  const all = [...contacts.values()];
  const { rows } = await client.query<{ id: string; belong: boolean | null }>(
    `WITH saved AS (INSERT INTO contact (gateway, source, last_wall_ms)
     SELECT * FROM unnest($1::text[], $2::text[], $3::double precision[]) AS c (gateway, source, last_wall_ms)
     ORDER BY gateway, source
     ON CONFLICT (gateway, source) DO UPDATE SET last_wall_ms = greatest(contact.last_wall_ms, excluded.last_wall_ms))
     SELECT ledger_id AS id, ${COMMITS_BELONG} AS belong FROM head`,
    [
      all.map(({ envelope }) => envelope.gateway),
      all.map(({ source }) => source),
      all.map(({ receivedWallMs }) => receivedWallMs),
    ],
  );
  const [head] = rows;
  if (head?.id !== id || head.belong !== true) {
    throw new LedgerLost('the tables of the ledger were made anew, emptied or put back from a copy');
  }
}
