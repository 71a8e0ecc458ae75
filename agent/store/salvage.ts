/**
 * What can be read of a damaged buffer goes into a new one, under its own ids (I2); what was pending and cannot be read becomes
 * a gap with the reason `corruption` (I3). Damage in one place must not cost what lies elsewhere: keys are read in
 * order, and where SQLite stumbles the range is halved until only keys that cannot be read are left out.
 *
 * Where it is unknown what was delivered already, everything counts as not delivered: a second delivery is recognised (I5).
 */
import Database from 'better-sqlite3';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { SeqRange } from '../../shared/record.ts';
import { ChunkDamage, decodeChunk } from './chunk.ts';
import { type EpochRow, prepareStatements, type StreamRow } from './statements.ts';

/** What came out of a damaged file. */
export interface Salvaged {
  /** Pending records that are there. */
  records: number;
  /** Pending ones that are not: each is in a gap. */
  lostRecords: number;
  sessionItems: number;
}

interface ChunkRow extends SeqRange {
  mono_ms: number;
  bytes: number;
  body: Buffer;
}

/** Halving ends after so many attempts at one table, and what is left of it counts as not readable (I10). */
const ATTEMPTS_MAX = 20_000;
const KEY_MAX = 2 ** 40;

/** Copies from the file `from`, which stays as it is, into the new, empty buffer `into`. All or nothing. */
export function salvage(from: string, into: Database.Database): Salvaged {
  const source = openedForReading(from);
  if (!source) return { records: 0, lostRecords: 0, sessionItems: 0 };
  try {
    return into.transaction(() => new Salvage(source, into).run())();
  } finally {
    source.close();
  }
}

/** Null when not even the first page can be read. Opened for reading only, so that closing does not write the log into it. */
function openedForReading(file: string): Database.Database | null {
  const source = new Database(file, { readonly: true });
  try {
    source.prepare('SELECT count(*) FROM sqlite_master').get();
    return source;
  } catch (error) {
    source.close();
    if (error instanceof Database.SqliteError) return null;
    throw error;
  }
}

class Salvage {
  readonly #source: Database.Database;
  readonly #into: ReturnType<typeof prepareStatements>;
  readonly #insertEpoch: Database.Statement<[number, string, string, number, string]>;
  readonly #insertStream: Database.Statement<[number, string, string, number, number]>;
  readonly #insertSessionItem: Database.Statement<[string, string, string, Uint8Array]>;
  readonly #result: Salvaged = { records: 0, lostRecords: 0, sessionItems: 0 };

  constructor(source: Database.Database, into: Database.Database) {
    this.#source = source;
    this.#into = prepareStatements(into);
    this.#insertEpoch = into.prepare(
      'INSERT OR IGNORE INTO epoch (number, name, boot_id, offset_ms, quality) VALUES (?, ?, ?, ?, ?)',
    );
    this.#insertStream = into.prepare(
      "INSERT INTO stream (id, epoch, name, last_seq, bytes, freed, end_announced) VALUES (?, ?, ?, ?, 0, x'', ?)",
    );
    this.#insertSessionItem = into.prepare(
      'INSERT OR IGNORE INTO session_item (kind, client, key, value) VALUES (?, ?, ?, ?)',
    );
  }

  run(): Salvaged {
    const streams = this.#streams();
    this.#epochs(streams);
    for (const stream of streams) this.#stream(stream);
    this.#sessionItems();
    return this.#result;
  }

  /** Their rows; of a row that cannot be read, what the index on (epoch, name) knows. */
  #streams(): Array<StreamRow & { isWhole: boolean }> {
    const found = new Map<number, StreamRow & { isWhole: boolean }>();
    const rows = this.#byKey<StreamRow>(
      'SELECT *, id AS key FROM stream WHERE id BETWEEN ? AND ? ORDER BY id',
    );
    for (const row of rows)
      if (isText(row.epoch) && isText(row.name)) found.set(row.id, { ...row, isWhole: true });
    const indexed = this.#readable<{ id: number; epoch: string; name: string }>(
      'SELECT id, epoch, name FROM stream INDEXED BY sqlite_autoindex_stream_1 ORDER BY epoch, name',
    );
    for (const { id, epoch, name } of indexed) {
      if (found.has(id) || !isText(epoch) || !isText(name)) continue;
      const unknown = { last_seq: 0, bytes: 0, freed: Buffer.alloc(0), end_announced: 0 };
      found.set(id, { id, epoch, name, ...unknown, isWhole: false });
    }
    const names = new Set<string>();
    return [...found.values()].filter(({ epoch, name }) => {
      const key = `${epoch}/${name}`;
      return !names.has(key) && names.add(key);
    });
  }

  /** Those that have streams, with a clock that is not known where their row is lost. The next number is above all of them (I2). */
  #epochs(streams: readonly StreamRow[]): void {
    const rows = this.#byKey<EpochRow & { number: number }>(
      'SELECT *, number AS key FROM epoch WHERE number BETWEEN ? AND ? ORDER BY number',
    );
    for (const { number, name, boot_id, offset_ms, quality } of rows) {
      if (isText(name) && isText(boot_id)) this.#insertEpoch.run(number, name, boot_id, offset_ms, quality);
    }
    const known = new Set(this.#into.allEpochs.all().map(({ name }) => name));
    for (const { epoch } of streams) {
      if (known.has(epoch)) continue;
      known.add(epoch);
      this.#insertEpoch.run(Number.parseInt(epoch, 10), epoch, '', 0, 'unsynchronised');
    }
  }

  #stream(row: StreamRow & { isWhole: boolean }): void {
    const { id, epoch, name, end_announced } = row;
    const there = IntervalSet.empty();
    let bytes = 0;
    this.#insertStream.run(id, epoch, name, 0, end_announced);
    const chunks = this.#byKey<ChunkRow>(
      'SELECT first AS key, first, last, mono_ms, bytes, body FROM chunk WHERE stream = ? AND first BETWEEN ? AND ? ORDER BY first',
      id,
    );
    for (const chunk of chunks) {
      if (!isWhole(chunk) || there.within(chunk.first, chunk.last).length > 0) continue;
      this.#into.insertChunk.run(id, chunk.first, chunk.last, chunk.mono_ms, chunk.bytes, chunk.body);
      there.add(chunk.first, chunk.last);
      bytes += chunk.bytes;
    }
    const lastSeq = Math.max(row.last_seq, there.max);
    const all = IntervalSet.of(lastSeq > 0 ? [{ first: 1, last: lastSeq }] : []);
    const pending = all.difference(setOf(row.freed));
    const lost = pending.difference(there);
    for (const { first, last } of lost.ranges()) this.#into.insertGap.run(id, first, last, 'corruption');
    const kept = pending.difference(lost);
    this.#into.advanceStream.run(lastSeq, bytes, id);
    this.#into.writeFreed.run(bytes, all.difference(kept).encode(), id);
    this.#gaps(id, all);
    this.#accepted(id, kept);
    this.#result.records += kept.size;
    this.#result.lostRecords += lost.size;
  }

  /** Those that were there already. */
  #gaps(stream: number, all: IntervalSet): void {
    const rows = this.#readable<{ first: number; last: number; reason: 'quota' | 'age' | 'corruption' }>(
      'SELECT first, last, reason FROM gap WHERE stream = ? ORDER BY first',
      stream,
    );
    const taken = IntervalSet.of(this.#into.gapsOf.all(stream));
    for (const { first, last, reason } of rows) {
      if (!(first <= last) || !all.contains(first, last) || taken.within(first, last).length > 0) continue;
      this.#into.insertGap.run(stream, first, last, reason);
      taken.add(first, last);
    }
  }

  #accepted(stream: number, pending: IntervalSet): void {
    const rows = this.#readable<{ provider: string; ranges: Buffer }>(
      'SELECT provider, ranges FROM accepted WHERE stream = ? ORDER BY provider',
      stream,
    );
    const providers = new Set<string>();
    for (const { provider, ranges } of rows) {
      const held = setOf(ranges);
      const kept = pending.difference(pending.difference(held));
      if (providers.has(provider) || kept.size === 0) continue;
      providers.add(provider);
      this.#into.insertAccepted.run(stream, provider, kept.encode());
    }
  }

  #sessionItems(): void {
    const rows = this.#readable<{ kind: string; client: string; key: string; value: Buffer }>(
      'SELECT kind, client, key, value FROM session_item ORDER BY kind, client, key',
    );
    for (const { kind, client, key, value } of rows) {
      if (!(isText(kind) && isText(client) && isText(key) && value instanceof Uint8Array)) continue;
      this.#result.sessionItems += this.#insertSessionItem.run(kind, client, key, value).changes;
    }
  }

  /** Rows by ascending `key`, around those that cannot be read. `sql` takes `...before`, then the bounds of the key. */
  *#byKey<Row>(sql: string, ...before: number[]): Generator<Row> {
    const statement = this.#prepared<Row & { key: number }>(sql);
    const ranges: SeqRange[] = [{ first: 0, last: KEY_MAX }];
    for (let attempts = 0; statement && attempts < ATTEMPTS_MAX; attempts++) {
      const range = ranges.pop();
      if (!range) return;
      let next = range.first;
      try {
        for (const row of statement.iterate(...before, range.first, range.last)) {
          next = row.key + 1;
          yield row;
        }
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        if (next >= range.last) continue;
        const middle = Math.floor((next + range.last) / 2);
        ranges.push({ first: middle + 1, last: range.last }, { first: next, last: middle });
      }
    }
  }

  /** Rows from the front as far as they can be read, then from the back. */
  *#readable<Row>(sql: string, ...values: number[]): Generator<Row> {
    const backwards = sql.replace(
      /ORDER BY (.*)$/,
      (_, keys: string) => `ORDER BY ${keys.split(', ').join(' DESC, ')} DESC`,
    );
    for (const direction of [sql, backwards]) {
      try {
        yield* this.#prepared<Row>(direction)?.iterate(...values) ?? [];
        return;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
      }
    }
  }

  /** Null when the table is not there, as far as can be read. */
  #prepared<Row>(sql: string): Database.Statement<number[], Row> | null {
    try {
      return this.#source.prepare<number[], Row>(sql);
    } catch (error) {
      if (isUnreadable(error)) return null;
      throw error;
    }
  }
}

/** Anything that SQLite says of the damaged file. */
function isUnreadable(error: unknown): boolean {
  return error instanceof Database.SqliteError;
}

function isWhole({ first, last, body, bytes, mono_ms }: ChunkRow): boolean {
  if (!(first >= 1 && last >= first && body instanceof Uint8Array && bytes >= 0 && mono_ms >= 0))
    return false;
  try {
    return decodeChunk(body).length === last - first + 1;
  } catch (error) {
    if (error instanceof ChunkDamage) return false;
    throw error;
  }
}

/** Empty when it does not decode. */
function setOf(encoded: unknown): IntervalSet {
  if (!(encoded instanceof Uint8Array)) return IntervalSet.empty();
  try {
    return IntervalSet.decode(encoded);
  } catch {
    return IntervalSet.empty();
  }
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}
