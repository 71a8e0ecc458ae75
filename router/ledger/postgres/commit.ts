/**
 * The body of one commit's transaction: a fixed number of statements, however many envelopes and records.
 *
 * 1. lock the streams' rows, in key order; 2. decide by the rules what is new; 3. read the held versions of what is not,
 * and judge them; 4. write records, streams, versions aside and contacts; 5. give the offsets, last (see records.ts).
 */
import type { TelemetryRecord } from '../../../shared/record.ts';
import { BOOT_CLOCK_WRITE_MS, type BootClock, bootClocksOf } from '../boot-clocks.ts';
import type { CommitResult, LedgerEntry, RecordContent, RecordVersion } from '../ledger.ts';
import { type Absorption, absorb, counted, isContactOnly, judge } from '../rules.ts';
import type { Queryable } from './connection.ts';
import { type Aside, asideVersions, insertAside } from './evidence.ts';
import { type Fresh, giveOffsets, heldVersions, idText, insertRecords, type StoredId } from './records.ts';
import { type LockedStream, lockStreams, streamName, writeStreams } from './streams.ts';

/** What a commit did, for the log, once it is committed. */
export interface Committed {
  results: CommitResult[];
  absorbed: readonly Absorbed[];
  aside: readonly Aside[];
}

/** One entry, after the rules and before its repeated records are judged. */
interface Absorbed {
  entry: LedgerEntry;
  stream: LockedStream;
  absorption: Absorption;
  result: CommitResult;
}

const NOTHING: CommitResult = { new: 0, duplicate: 0, duplicateElsewhere: 0, conflict: 0, gap: 0 };

export async function commitEntries(
  client: Queryable,
  entries: readonly LedgerEntry[],
  month: number,
): Promise<Committed> {
  const telling = entries.filter(({ envelope }) => !isContactOnly(envelope));
  const streams =
    telling.length === 0
      ? new Map<string, LockedStream>()
      : await lockStreams(client, new Map(telling.map(({ envelope }) => [streamName(envelope), envelope])));
  const absorbed = telling.map((entry) => absorbEntry(entry, streams));
  const aside = await judgeRepeated(client, absorbed);
  if (streams.size > 0) await writeStreams(client, [...streams.values()]);
  await insertAside(client, aside);
  await saveContacts(client, entries);
  await saveBootClocks(client, bootClocksOf(entries));
  const fresh = absorbed.flatMap(({ entry, stream, absorption }): Fresh[] =>
    absorption.fresh.length === 0 ? [] : [{ streamId: stream.id, entry, records: absorption.fresh }],
  );
  if (fresh.length > 0) {
    const arrivals = await insertRecords(client, fresh, month);
    await giveOffsets(client, fresh, arrivals, month);
  }
  const judged = absorbed.values();
  return {
    results: entries.map(({ envelope }) =>
      isContactOnly(envelope) ? { ...NOTHING } : (judged.next().value?.result ?? { ...NOTHING }),
    ),
    absorbed,
    aside,
  };
}

function absorbEntry(entry: LedgerEntry, streams: ReadonlyMap<string, LockedStream>): Absorbed {
  const stream = streams.get(streamName(entry.envelope));
  if (!stream) throw new Error('a stream of the commit was not locked');
  const absorption = absorb(stream.state, entry.envelope);
  stream.state = absorption.state;
  const result = { ...NOTHING, new: absorption.fresh.length, gap: absorption.gap };
  return { entry, stream, absorption, result };
}

/** Counts duplicates and conflicts into the results and the streams' states; returns the versions to keep aside. */
async function judgeRepeated(client: Queryable, absorbed: readonly Absorbed[]): Promise<Aside[]> {
  const repeated = absorbed.flatMap(({ stream, absorption }): (StoredId & { disputed: boolean })[] =>
    absorption.repeated.map(({ seq }) => ({
      gateway: stream.key.gateway,
      streamId: stream.id,
      seq,
      disputed: stream.state.conflicts > 0,
    })),
  );
  if (repeated.length === 0) return [];
  const held = await heldVersions(client, repeated);
  const asideBefore = await asideVersions(
    client,
    repeated.filter(({ disputed }) => disputed),
  );
  const aside: Aside[] = [];
  for (const { entry, stream, absorption, result } of absorbed) {
    for (const record of absorption.fresh) held.set(idText(stream.id, record.seq), versionOf(entry, record));
    for (const record of absorption.repeated) {
      const id = idText(stream.id, record.seq);
      const first = held.get(id);
      const others = asideBefore.get(id) ?? [];
      if (judge(record, first ? [first, ...others] : []) === 'duplicate') {
        result.duplicate += 1;
        if (first && first.source !== entry.source) result.duplicateElsewhere += 1;
        continue;
      }
      result.conflict += 1;
      const content: RecordContent = record;
      asideBefore.set(id, [...others, content]);
      aside.push({ gateway: stream.key.gateway, streamId: stream.id, seq: record.seq, entry, content });
    }
    stream.state = counted(stream.state, result.duplicate, result.conflict);
  }
  return aside;
}

function versionOf({ source, receivedWallMs }: LedgerEntry, record: TelemetryRecord): RecordVersion {
  const { device, topic, payload, monoMs } = record;
  return { device, topic, payload, monoMs, source, receivedWallMs };
}

/** In key order, so that commits that meet wait for each other and do not lock each other out. */
async function saveBootClocks(client: Queryable, clocks: readonly BootClock[]): Promise<void> {
  if (clocks.length === 0) return;
  await client.query(
    `INSERT INTO boot_clock (gateway, boot_id, offset_ms)
     SELECT * FROM unnest($1::text[], $2::text[], $3::double precision[]) AS c (gateway, boot_id, offset_ms)
     ORDER BY gateway, boot_id
     ON CONFLICT (gateway, boot_id) DO UPDATE SET offset_ms = excluded.offset_ms
     WHERE abs(boot_clock.offset_ms - excluded.offset_ms) >= ${BOOT_CLOCK_WRITE_MS}`,
    [
      clocks.map(({ gateway }) => gateway),
      clocks.map(({ bootId }) => bootId),
      clocks.map(({ offsetMs }) => offsetMs),
    ],
  );
}

async function saveContacts(client: Queryable, entries: readonly LedgerEntry[]): Promise<void> {
  const contacts = new Map(
    entries.map((entry) => [JSON.stringify([entry.envelope.gateway, entry.source]), entry]),
  );
  const all = [...contacts.values()];
  await client.query(
    `INSERT INTO contact (gateway, source, last_wall_ms)
     SELECT * FROM unnest($1::text[], $2::text[], $3::double precision[]) AS c (gateway, source, last_wall_ms)
     ORDER BY gateway, source
     ON CONFLICT (gateway, source) DO UPDATE SET last_wall_ms = greatest(contact.last_wall_ms, excluded.last_wall_ms)`,
    [
      all.map(({ envelope }) => envelope.gateway),
      all.map(({ source }) => source),
      all.map(({ receivedWallMs }) => receivedWallMs),
    ],
  );
}
