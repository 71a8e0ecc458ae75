/** Every SQL statement of the buffer, prepared once per opening. */
import type Database from 'better-sqlite3';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { Gap } from '../../../shared/record.ts';
import type { Chunk, ChunkHead } from './chunk.ts';

export interface EpochRow {
  name: string;
  boot_id: string;
  offset_ms: number;
  quality: EnvelopeClock['quality'];
}

export interface StreamRow {
  id: number;
  epoch: string;
  name: string;
  last_seq: number;
  bytes: number;
  freed: Buffer;
  end_announced: number;
}

type Id = number | bigint;

const HEAD = 'first, last, mono_ms AS monoMs, bytes';

export type Statements = ReturnType<typeof prepareStatements>;

export function prepareStatements(db: Database.Database) {
  return {
    insertEpoch: db.prepare<[string, string, number, string]>(
      'INSERT INTO epoch (name, boot_id, offset_ms, quality) VALUES (?, ?, ?, ?)',
    ),
    nameEpoch: db.prepare<[string, Id]>('UPDATE epoch SET name = ? WHERE number = ?'),
    setEpochClock: db.prepare<[string, number, string, string]>(
      'UPDATE epoch SET boot_id = ?, offset_ms = ?, quality = ? WHERE name = ?',
    ),
    allEpochs: db.prepare<[], EpochRow>(
      'SELECT name, boot_id, offset_ms, quality FROM epoch ORDER BY number',
    ),
    deleteEmptyEpochs: db.prepare<[]>('DELETE FROM epoch WHERE name NOT IN (SELECT epoch FROM stream)'),
    deleteEmptyEpoch: db.prepare<[string, string]>(
      'DELETE FROM epoch WHERE name = ? AND NOT EXISTS (SELECT 1 FROM stream WHERE epoch = ?)',
    ),

    insertStream: db.prepare<[string, string]>(
      "INSERT INTO stream (epoch, name, last_seq, bytes, freed, end_announced) VALUES (?, ?, 0, 0, x'', 0)",
    ),
    allStreams: db.prepare<[], StreamRow>('SELECT * FROM stream ORDER BY id'),
    advanceStream: db.prepare<[number, number, number]>(
      'UPDATE stream SET last_seq = ?, bytes = ? WHERE id = ?',
    ),
    writeFreed: db.prepare<[number, Uint8Array, number]>(
      'UPDATE stream SET bytes = ?, freed = ? WHERE id = ?',
    ),
    announceEnd: db.prepare<[number]>('UPDATE stream SET end_announced = 1 WHERE id = ?'),
    deleteStream: db.prepare<[number]>('DELETE FROM stream WHERE id = ?'),

    acceptedOf: db.prepare<[number], { provider: string; ranges: Buffer }>(
      'SELECT provider, ranges FROM accepted WHERE stream = ?',
    ),
    insertAccepted: db.prepare<[number, string, Uint8Array]>(
      'INSERT INTO accepted (stream, provider, ranges) VALUES (?, ?, ?)',
    ),
    deleteAccepted: db.prepare<[number]>('DELETE FROM accepted WHERE stream = ?'),

    gapsOf: db.prepare<[number], Gap>('SELECT first, last, reason FROM gap WHERE stream = ? ORDER BY first'),
    insertGap: db.prepare<[number, number, number, string]>(
      'INSERT INTO gap (stream, first, last, reason) VALUES (?, ?, ?, ?)',
    ),
    deleteGaps: db.prepare<[number]>('DELETE FROM gap WHERE stream = ?'),

    insertChunk: db.prepare<[number, number, number, number, number, Uint8Array]>(
      'INSERT INTO chunk (stream, first, last, mono_ms, bytes, body) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    chunksOf: db.prepare<[number, number, number, number], Chunk>(
      `SELECT ${HEAD}, body FROM chunk
       WHERE stream = ? AND first BETWEEN ? AND ? AND last >= ? ORDER BY first`,
    ),
    chunkHeads: db.prepare<[number, number, number, number], ChunkHead>(
      `SELECT ${HEAD} FROM chunk WHERE stream = ? AND first BETWEEN ? AND ? AND last >= ? ORDER BY first`,
    ),
    oldestChunks: db.prepare<[number, number], ChunkHead>(
      `SELECT ${HEAD} FROM chunk WHERE stream = ? ORDER BY first LIMIT ?`,
    ),
    chunkBytes: db.prepare<[number, number, number, number], { bytes: number }>(
      'SELECT coalesce(sum(bytes), 0) AS bytes FROM chunk WHERE stream = ? AND first BETWEEN ? AND ? AND last <= ?',
    ),
    deleteChunks: db.prepare<[number, number, number, number]>(
      'DELETE FROM chunk WHERE stream = ? AND first BETWEEN ? AND ? AND last <= ?',
    ),
    usedPages: db.prepare<[], { pages: number }>(
      'SELECT p.page_count - f.freelist_count AS pages FROM pragma_page_count p, pragma_freelist_count f',
    ),
  };
}
