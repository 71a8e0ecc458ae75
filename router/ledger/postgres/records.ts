/**
 * The `record` and `arrival` rows, with gapless offsets for readers.
 *
 * A sequence assigns numbers before the commit: a reader could see 8 while 7 is still being committed, move
 * its cursor to 8 and never see 7. Here the last statement of a commit assigns the offsets under a lock: it
 * updates the one row of `head` by the number of new records, and holds the row until the COMMIT. So offsets
 * follow the order of the commits, a reader that sees an offset sees every lower one, and offsets are dense:
 * a failed transaction rolls its numbers back. The records themselves are inserted before, without that lock;
 * a record's offset is the first offset of its arrival plus its position in it.
 */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { TelemetryRecord } from '../../../shared/record.ts';
import { wallTimeOf } from '../rules/boot-clocks.ts';
import { hourOf, storedBytes } from '../rules/retention.ts';
import type { LedgerEntry, LedgerRecord } from '../types.ts';
import type { Database, Queryable } from './connection.ts';
import { type Counted, type GoneRecord, ROW_BYTES } from './shares.ts';

/** The new records of one entry. */
export interface Fresh {
  streamId: number;
  entry: LedgerEntry;
  records: readonly TelemetryRecord[];
}

/** A record id with the stream's row id. */
export interface StoredId {
  gateway: string;
  streamId: number;
  seq: number;
}

type RecordRow = Omit<LedgerRecord, 'wallMs' | 'clockQuality'> & {
  clockOffsetMs: number;
  clockQuality: EnvelopeClock['quality'];
  bootOffsetMs: number | null;
};

/** A page of {@link readRecords} ends after this many payload bytes, whatever its limit (I10). */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

export function idText(streamId: number, seq: number): string {
  return `${streamId}/${seq}`;
}

/** Inserts the records in one statement; returns the ids of their arrivals, for {@link giveOffsets}. */
export async function insertRecords(
  client: Queryable,
  fresh: readonly Fresh[],
  day: number,
): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(
    `SELECT nextval('arrival_id') AS id FROM generate_series(1, $1)`,
    [fresh.length],
  );
  const arrivals = rows.map(({ id }) => id);
  const all = fresh.flatMap(({ records }, i) =>
    records.map((record, position) => ({ record, position, arrival: i + 1 })),
  );
  const payloads = all.map(({ record }) => record.payload);
  // Payloads travel as one byte string that the server cuts: elements of a bytea[] would travel as
  // hexadecimal text.
  const lengths = payloads.map((payload) => payload.byteLength);
  const starts = sums(lengths).map((end, i) => end - (lengths[i] ?? 0) + 1);
  await client.query(
    `INSERT INTO record (gateway, stream_id, seq, day, arrival_id, position, mono_ms, device, topic, payload)
     SELECT ($1::text[])[r.arrival], ($2::bigint[])[r.arrival], r.seq, $4, ($3::bigint[])[r.arrival], r.position,
       r.mono_ms, r.device, r.topic, substring($5::bytea FROM r.start FOR r.length)
     FROM unnest($6::integer[], $7::bigint[], $8::integer[], $9::double precision[], $10::text[], $11::text[],
       $12::integer[], $13::integer[])
       AS r (arrival, seq, position, mono_ms, device, topic, start, length)`,
    [
      fresh.map(({ entry }) => entry.envelope.gateway),
      fresh.map(({ streamId }) => streamId),
      arrivals,
      day,
      Buffer.concat(payloads),
      all.map(({ arrival }) => arrival),
      all.map(({ record }) => record.seq),
      all.map(({ position }) => position),
      all.map(({ record }) => record.monoMs),
      all.map(({ record }) => record.device),
      all.map(({ record }) => record.topic),
      starts,
      lengths,
    ],
  );
  return arrivals;
}

/**
 * Inserts the arrivals at the next offsets, and locks `head` from here to the COMMIT: the last statement
 * before it.
 */
export async function giveOffsets(
  client: Queryable,
  fresh: readonly Fresh[],
  arrivals: readonly number[],
  day: number,
): Promise<void> {
  const lasts = sums(fresh.map(({ records }) => records.length));
  const seqsOf = fresh.map(({ records }) => records.map(({ seq }) => seq));
  const clocks = fresh.map(({ entry }) => entry.envelope.clock);
  const sizes = fresh.map(({ records }) => storedBytes(records));
  const volumes = summed(
    fresh,
    sizes,
    ({ entry }) => `${hourOf(entry.receivedWallMs)}/${entry.envelope.stream}`,
  );
  const shares = summed(fresh, sizes, ({ entry: { envelope } }) =>
    JSON.stringify([envelope.gateway, envelope.stream]),
  );
  await client.query(
    `WITH given AS (UPDATE head SET last_offset = last_offset + $1 RETURNING last_offset - $1 AS base),
       came AS (INSERT INTO volume (stream, hour, bytes, shared)
         SELECT v.stream, v.hour, v.bytes, v.bytes
         FROM given, unnest($17::text[], $18::integer[], $19::bigint[]) AS v (stream, hour, bytes)
         ON CONFLICT (stream, hour) DO UPDATE
           SET bytes = volume.bytes + excluded.bytes, shared = volume.shared + excluded.shared),
       grown AS (INSERT INTO share (gateway, stream, bytes)
         SELECT s.gateway, s.stream, s.bytes
         FROM given, unnest($22::text[], $23::text[], $24::bigint[]) AS s (gateway, stream, bytes)
         ON CONFLICT (gateway, stream) DO UPDATE SET bytes = share.bytes + excluded.bytes)
     INSERT INTO arrival (gateway, id, day, stream_id, first_seq, last_seq, first_offset, last_offset, source,
       received_wall_ms, boot_id, clock_offset_ms, clock_quality, stream, hour, sent_as, bytes)
     SELECT a.gateway, a.id, $2, a.stream_id, a.first_seq, a.last_seq, given.base + a.first, given.base + a.last,
       a.source, a.received_wall_ms, a.boot_id, a.clock_offset_ms, a.clock_quality, a.stream, a.hour,
       a.sent_as, a.bytes
     FROM given, unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
       $9::bigint[], $10::text[], $11::double precision[], $12::text[], $13::double precision[], $14::text[],
       $15::text[], $16::integer[], $20::text[], $21::integer[])
       AS a (gateway, id, stream_id, first_seq, last_seq, first, last, source, received_wall_ms, boot_id,
         clock_offset_ms, clock_quality, stream, hour, sent_as, bytes)`,
    [
      lasts.at(-1) ?? 0,
      day,
      fresh.map(({ entry }) => entry.envelope.gateway),
      arrivals,
      fresh.map(({ streamId }) => streamId),
      seqsOf.map((seqs) => Math.min(...seqs)),
      seqsOf.map((seqs) => Math.max(...seqs)),
      fresh.map(({ records }, i) => (lasts[i] ?? 0) - records.length + 1),
      lasts,
      fresh.map(({ entry }) => entry.source),
      fresh.map(({ entry }) => entry.receivedWallMs),
      clocks.map(({ bootId }) => bootId),
      clocks.map(({ offsetMs }) => offsetMs),
      clocks.map(({ quality }) => quality),
      fresh.map(({ entry }) => entry.envelope.stream),
      fresh.map(({ entry }) => hourOf(entry.receivedWallMs)),
      volumes.map(({ stream }) => stream),
      volumes.map(({ hour }) => hour),
      volumes.map(({ bytes }) => bytes),
      fresh.map(({ entry }) => entry.sentAs ?? null),
      sizes,
      shares.map(({ gateway }) => gateway),
      shares.map(({ stream }) => stream),
      shares.map(({ bytes }) => bytes),
    ],
  );
}

/**
 * The bytes that `fresh` adds, once per row by `nameOf`. The rows are locked under the lock of `head`, so
 * their order is free.
 */
function summed(
  fresh: readonly Fresh[],
  sizes: readonly number[],
  nameOf: (one: Fresh) => string,
): Counted[] {
  const rows = new Map<string, Counted>();
  for (const [i, one] of fresh.entries()) {
    const { gateway, stream } = one.entry.envelope;
    const hour = hourOf(one.entry.receivedWallMs);
    const row = rows.get(nameOf(one)) ?? { gateway, stream, hour, bytes: 0 };
    row.bytes += sizes[i] ?? 0;
    rows.set(nameOf(one), row);
  }
  return [...rows.values()];
}

/** The running sums of `sizes`. */
function sums(sizes: readonly number[]): number[] {
  let sum = 0;
  return sizes.map((size) => {
    sum += size;
    return sum;
  });
}

/** Deletes records; their offsets stay empty. The result is for `recordsLeft`. */
export async function removeRecords(client: Queryable, ids: readonly StoredId[]): Promise<GoneRecord[]> {
  if (ids.length === 0) return [];
  const { rows } = await client.query<GoneRecord>(
    `DELETE FROM record r USING unnest($1::text[], $2::bigint[], $3::bigint[]) AS i (gateway, stream_id, seq)
     WHERE r.gateway = i.gateway AND r.stream_id = i.stream_id AND r.seq = i.seq
     RETURNING r.gateway, r.arrival_id AS arrival, r.day, ${ROW_BYTES} AS bytes`,
    idColumns(ids),
  );
  return rows;
}

export function idColumns(ids: readonly StoredId[]): unknown[] {
  return [ids.map(({ gateway }) => gateway), ids.map(({ streamId }) => streamId), ids.map(({ seq }) => seq)];
}

/**
 * Records with offset > `after`, ascending. Empty only at the end, even where all of a page's records were
 * pruned.
 */
export async function readRecords(db: Database, after: number, limit: number): Promise<LedgerRecord[]> {
  for (let from = after; ; ) {
    const page = await readPage(db, from, limit);
    if (page.length > 0 || (await nextBehind(db, from + limit)) === null) return page;
    // One snapshot for both statements: a page committed between them would look pruned.
    const again = await db.transaction(
      async (client) => ({
        page: await readPage(client, from, limit),
        next: await nextBehind(client, from + limit),
      }),
      { mode: 'REPEATABLE READ' },
    );
    if (again.page.length > 0 || again.next === null) return again.page;
    from = Math.max(from + limit, again.next - 1);
  }
}

/** The first offset of the first arrival that ends after `offset`. */
async function nextBehind(client: Queryable, offset: number): Promise<number | null> {
  const { rows } = await client.query<{ first: number | null }>(
    'SELECT min(first_offset) AS first FROM arrival WHERE last_offset > $1',
    [offset],
  );
  return rows[0]?.first ?? null;
}

async function readPage(client: Queryable, after: number, limit: number): Promise<LedgerRecord[]> {
  const { rows } = await client.query<RecordRow>(
    `SELECT page.* FROM (
       SELECT a.first_offset + r.position AS "offset", s.gateway, s.epoch, s.stream, r.seq, r.device, r.topic,
         r.payload, a.boot_id AS "bootId", r.mono_ms AS "monoMs", a.clock_offset_ms AS "clockOffsetMs",
         a.clock_quality AS "clockQuality", b.offset_ms AS "bootOffsetMs", a.source, a.received_wall_ms AS "receivedWallMs",
         sum(octet_length(r.payload)) OVER (ORDER BY a.first_offset + r.position) - octet_length(r.payload) AS before
       FROM (SELECT * FROM arrival WHERE last_offset > $1 ORDER BY last_offset LIMIT $3) a
         JOIN stream s ON s.gateway = a.gateway AND s.id = a.stream_id
         LEFT JOIN boot_clock b ON b.gateway = a.gateway AND b.boot_id = a.boot_id
         JOIN record r ON r.gateway = a.gateway AND r.stream_id = a.stream_id
           AND r.seq BETWEEN a.first_seq AND a.last_seq AND r.day = a.day AND r.arrival_id = a.id
       WHERE a.first_offset <= $2 AND a.first_offset + r.position BETWEEN $1 + 1 AND $2) page
     WHERE page.before < ${PAGE_BYTES_MAX} ORDER BY "offset"`,
    [after, after + limit, limit],
  );
  return rows.map(recordOf);
}

function recordOf(row: RecordRow): LedgerRecord {
  const { offset, gateway, epoch, stream, seq, device, topic, payload, bootId, monoMs } = row;
  const { clockOffsetMs, clockQuality, bootOffsetMs, source, receivedWallMs } = row;
  return {
    gateway,
    epoch,
    stream,
    offset,
    seq,
    device,
    topic,
    payload,
    bootId,
    monoMs,
    ...wallTimeOf(monoMs, clockOffsetMs, clockQuality, bootOffsetMs),
    source,
    receivedWallMs,
  };
}
