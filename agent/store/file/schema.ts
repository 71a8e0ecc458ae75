/**
 * The buffer's tables, as migration steps: an older file is migrated step by step, a newer file is refused.
 * `PRAGMA user_version` is the number of steps applied to a file.
 */
import type Database from 'better-sqlite3';
import { recordBytes, StoreError } from '../types.ts';
import { encodeChunk } from './chunk.ts';
import { OWNER } from './owner.ts';
import { SESSION_ITEMS, SESSION_QUEUE } from './session-items.ts';

const ROWS_PER_CHUNK = 256;

/**
 * `freed` and `ranges` are `IntervalSet.encode()`. `epoch.number` is the start counter and is never reused
 * (I2).
 */
const FIRST = `
  CREATE TABLE epoch (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    offset_ms REAL NOT NULL,
    quality TEXT NOT NULL
  ) STRICT;
  CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    name TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    freed BLOB NOT NULL,
    end_announced INTEGER NOT NULL,
    UNIQUE (epoch, name)
  ) STRICT;
  CREATE TABLE accepted (
    stream INTEGER NOT NULL,
    provider TEXT NOT NULL,
    ranges BLOB NOT NULL,
    PRIMARY KEY (stream, provider)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE gap (
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (stream, first)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE record (
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    mono_ms REAL NOT NULL,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (stream, seq)
  ) STRICT, WITHOUT ROWID;
`;

/**
 * Records in chunks (chunk.ts). `mono_ms` is the time of the newest record. The body is the last column, so
 * that heads are read without it.
 */
const CHUNKS = `
  CREATE TABLE chunk (
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    mono_ms REAL NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (stream, first)
  ) STRICT, WITHOUT ROWID;
`;

interface RecordRow {
  stream: number;
  seq: number;
  mono_ms: number;
  device: string;
  topic: string;
  payload: Buffer;
}

/** Converts rows of the first version to chunks of adjacent rows. */
function toChunks(db: Database.Database): void {
  db.exec(CHUNKS);
  const insert = db.prepare(
    'INSERT INTO chunk (stream, first, last, mono_ms, bytes, body) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const streams = db.prepare<[], { id: number; epoch: string; name: string }>('SELECT * FROM stream').all();
  const names = new Map(streams.map(({ id, epoch, name }) => [id, { epoch, stream: name }]));
  let rows: RecordRow[] = [];
  const flush = (): void => {
    const [first] = rows;
    const last = rows.at(-1);
    if (!first || !last) return;
    const bytes = rows.reduce((sum, row) => sum + recordBytes(row), 0);
    const id = { epoch: '', stream: '', ...names.get(first.stream), first: first.seq };
    const body = encodeChunk(
      rows.map(({ mono_ms: monoMs, ...row }) => ({ ...row, monoMs })),
      id,
    );
    insert.run(first.stream, first.seq, last.seq, last.mono_ms, bytes, body);
    rows = [];
  };
  // In slices, because the query must end before the next write.
  const next = db.prepare<[number, number, number], RecordRow>(
    'SELECT * FROM record WHERE (stream, seq) > (?, ?) ORDER BY stream, seq LIMIT ?',
  );
  for (let at = { stream: -1, seq: -1 }; ; ) {
    const slice = next.all(at.stream, at.seq, ROWS_PER_CHUNK);
    for (const row of slice) {
      const before = rows.at(-1);
      if (
        before &&
        (before.stream !== row.stream || before.seq + 1 !== row.seq || rows.length === ROWS_PER_CHUNK)
      )
        flush();
      rows.push(row);
    }
    const last = slice.at(-1);
    if (!last) break;
    at = last;
  }
  flush();
  db.exec('DROP TABLE record');
}

/** Each step migrates the file one version further. Append only: a released step never changes. */
const STEPS: ReadonlyArray<(db: Database.Database) => void> = [
  (db) => db.exec(FIRST),
  toChunks,
  (db) => db.exec(SESSION_ITEMS),
  // Also marks chunk bodies of format 2, which an older program would treat as damage.
  (db) => db.exec(SESSION_QUEUE),
  (db) => db.exec(OWNER),
];

/** The number of steps of a current file. */
const SCHEMA_VERSION = STEPS.length;

/** Throws StoreError `newer-schema` when a newer program wrote the file. */
export function refuseNewer(version: number): void {
  if (version <= SCHEMA_VERSION) return;
  throw new StoreError(
    'newer-schema',
    `the buffer has schema version ${version}, this program knows ${SCHEMA_VERSION}: update headgate`,
  );
}

/** Applies the missing steps, all or none. */
export function migrate(db: Database.Database, version: number): void {
  if (version >= SCHEMA_VERSION) return;
  db.transaction(() => {
    for (const step of STEPS.slice(version)) step(db);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  }).exclusive();
}
