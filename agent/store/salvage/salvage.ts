/**
 * Copies the readable part of a damaged buffer to a new one, under the same ids (I2). Pending records that
 * are unreadable become a gap with the reason `corruption` (I3). Damage in one place must not lose records
 * elsewhere (salvage-source.ts).
 *
 * Read values are not trusted: a value of an unexpected type counts as unreadable (salvaged-rows.ts), because
 * a row that the new file refuses would end this start and every later one (I9).
 *
 * Records whose delivery is unknown count as undelivered: the ledger recognises a second delivery (I5).
 */
import type Database from 'better-sqlite3';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { FileKey } from '../../../shared/sqlite/open.ts';
import { SessionItems } from '../file/session-items.ts';
import { type EpochRow, prepareStatements, type StreamRow } from '../file/statements.ts';
import type { Salvaged } from '../types.ts';
import { KEY_MAX, SalvageSource } from './salvage-source.ts';
import {
  chunkOf,
  clockOf,
  gapOf,
  isCount,
  isText,
  sessionItemOf,
  setOf,
  UNKNOWN_CLOCK,
  type Untrusted,
} from './salvaged-rows.ts';

/** Copies from the file `from`, which stays unchanged, into the new, empty buffer `into`. All or nothing. */
export function salvage(from: string, into: Database.Database, key: FileKey | null = null): Salvaged {
  const source = SalvageSource.open(from, key);
  if (!source) return { records: 0, lostRecords: 0, sessionItems: 0 };
  try {
    return into.transaction(() => new Salvage(source, into).run())();
  } finally {
    source.close();
  }
}

class Salvage {
  readonly #source: SalvageSource;
  readonly #into: ReturnType<typeof prepareStatements>;
  readonly #insertEpoch: Database.Statement<[number | null, string, string, number, string]>;
  readonly #insertStream: Database.Statement<[number, string, string, number]>;
  readonly #items: SessionItems;
  readonly #result: Salvaged = { records: 0, lostRecords: 0, sessionItems: 0 };

  constructor(source: SalvageSource, into: Database.Database) {
    this.#source = source;
    this.#into = prepareStatements(into);
    this.#insertEpoch = into.prepare(
      'INSERT INTO epoch (number, name, boot_id, offset_ms, quality) VALUES (?, ?, ?, ?, ?)',
    );
    this.#insertStream = into.prepare(
      "INSERT INTO stream (id, epoch, name, last_seq, bytes, freed, end_announced) VALUES (?, ?, ?, 0, 0, x'', ?)",
    );
    this.#items = new SessionItems(into);
  }

  run(): Salvaged {
    const streams = this.#streams();
    this.#epochs(streams);
    for (const stream of streams) this.#stream(stream);
    this.#sessionItems();
    return this.#result;
  }

  /** The streams' rows; for an unreadable row, the data in the index on (epoch, name). */
  #streams(): StreamRow[] {
    const found = new Map<number, StreamRow>();
    const rows = this.#source.byKey<StreamRow>(
      'SELECT *, id AS key FROM stream WHERE id BETWEEN ? AND ? ORDER BY id',
    );
    for (const row of rows) if (isText(row.epoch) && isText(row.name)) found.set(row.id, row);
    const indexed = this.#source.fromBothEnds<{ id: number; epoch: string; name: string }>(
      'SELECT id, epoch, name FROM stream INDEXED BY sqlite_autoindex_stream_1 ORDER BY epoch, name',
    );
    for (const { id, epoch, name } of indexed) {
      if (found.has(id) || !isCount(id) || !isText(epoch) || !isText(name)) continue;
      const unknown = { last_seq: 0, bytes: 0, freed: Buffer.alloc(0), end_announced: 0 };
      found.set(id, { id, epoch, name, ...unknown });
    }
    const names = new Set<string>();
    return [...found.values()].filter(({ epoch, name }) => {
      const key = `${epoch}/${name}`;
      return !names.has(key) && names.add(key);
    });
  }

  /**
   * The epochs that have streams, with an unknown clock where their row is lost. The next number is above all
   * of them (I2).
   */
  #epochs(streams: readonly StreamRow[]): void {
    const rows = this.#source.byKey<EpochRow & { number: number }>(
      'SELECT *, number AS key FROM epoch WHERE number BETWEEN ? AND ? ORDER BY number',
    );
    const [names, numbers] = [new Set<string>(), new Set<number>()];
    const add = (number: number, name: string, { bootId, offsetMs, quality }: EnvelopeClock): void => {
      if (names.has(name)) return;
      const own = isCount(number) && number <= KEY_MAX && !numbers.has(number) ? number : null;
      const { lastInsertRowid } = this.#insertEpoch.run(own, name, bootId, offsetMs, quality);
      names.add(name);
      numbers.add(Number(lastInsertRowid));
    };
    for (const row of rows) if (isText(row.name)) add(row.number, row.name, clockOf(row));
    for (const { epoch } of streams) add(Number.parseInt(epoch, 10), epoch, UNKNOWN_CLOCK);
  }

  #stream(row: StreamRow): void {
    const { id, epoch, name } = row;
    this.#insertStream.run(id, epoch, name, row.end_announced === 1 ? 1 : 0);
    const known = isCount(row.last_seq) ? row.last_seq : 0;
    const { there, bytes } = this.#chunks(row, known || KEY_MAX);
    const lastSeq = Math.max(known, there.max);
    const all = IntervalSet.of(lastSeq > 0 ? [{ first: 1, last: lastSeq }] : []);
    const pending = all.difference(setOf(row.freed)).difference(this.#gaps(id, all));
    const lost = pending.difference(there);
    for (const { first, last } of lost.ranges()) this.#into.insertGap.run(id, first, last, 'corruption');
    const kept = pending.difference(lost);
    this.#into.advanceStream.run(lastSeq, bytes, id);
    this.#into.writeFreed.run(bytes, all.difference(kept).encode(), id);
    this.#accepted(id, kept);
    this.#result.records += kept.size;
    this.#result.lostRecords += lost.size;
  }

  /** Copies the undamaged chunks. */
  #chunks(stream: StreamRow, lastSeq: number): { there: IntervalSet; bytes: number } {
    const there = IntervalSet.empty();
    let bytes = 0;
    const rows = this.#source.byKey<Untrusted<'first' | 'last' | 'mono_ms' | 'body'>>(
      'SELECT first AS key, first, last, mono_ms, body FROM chunk WHERE stream = ? AND first BETWEEN ? AND ? ORDER BY first',
      [stream.id],
      lastSeq,
    );
    for (const row of rows) {
      const chunk = chunkOf(row, stream);
      if (!chunk || there.within(chunk.first, chunk.last).length > 0) continue;
      this.#into.insertChunk.run(stream.id, chunk.first, chunk.last, chunk.monoMs, chunk.bytes, chunk.body);
      there.add(chunk.first, chunk.last);
      bytes += chunk.bytes;
    }
    return { there, bytes };
  }

  /** Copies the existing gaps, and returns the rows that they cover. */
  #gaps(stream: number, all: IntervalSet): IntervalSet {
    const covered = IntervalSet.empty();
    const rows = this.#source.fromBothEnds<Untrusted<'first' | 'last' | 'reason'>>(
      'SELECT first, last, reason FROM gap WHERE stream = ? ORDER BY first',
      stream,
    );
    for (const row of rows) {
      const gap = gapOf(row);
      if (!gap || !all.contains(gap.first, gap.last) || covered.within(gap.first, gap.last).length > 0)
        continue;
      this.#into.insertGap.run(stream, gap.first, gap.last, gap.reason);
      covered.add(gap.first, gap.last);
    }
    return covered;
  }

  #accepted(stream: number, pending: IntervalSet): void {
    const rows = this.#source.fromBothEnds<Untrusted<'provider' | 'ranges'>>(
      'SELECT provider, ranges FROM accepted WHERE stream = ? ORDER BY provider',
      stream,
    );
    const providers = new Set<string>();
    for (const { provider, ranges } of rows) {
      const kept = pending.difference(pending.difference(setOf(ranges)));
      if (!isText(provider) || providers.has(provider) || kept.size === 0) continue;
      providers.add(provider);
      this.#into.insertAccepted.run(stream, provider, kept.encode());
    }
  }

  #sessionItems(): void {
    const known = this.#source.fromBothEnds<Untrusted<'kind' | 'client' | 'key' | 'value'>>(
      'SELECT kind, client, key, value FROM session_item ORDER BY kind, client, key',
    );
    for (const row of known) this.#sessionItem(row);
    const queued = this.#source.byKey<Untrusted<'key' | 'client' | 'value'>>(
      'SELECT position AS key, client, value FROM session_queue WHERE position BETWEEN ? AND ? ORDER BY position',
    );
    for (const row of queued) this.#sessionItem({ ...row, kind: 'outgoing', key: String(row.key) });
    this.#result.sessionItems = this.#items.all().length;
  }

  #sessionItem(row: Untrusted<'kind' | 'client' | 'key' | 'value'>): void {
    const item = sessionItemOf(row);
    if (item) this.#items.write([item]);
  }
}
