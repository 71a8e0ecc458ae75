/** The ledger's SQLite file: opened so that a commit is durable, at a schema this version understands. */
import Database from 'better-sqlite3';

export type Sqlite = Database.Database;

const SCHEMA_VERSION = 1;
/** `PRAGMA synchronous` value FULL: every commit is fsynced (sqlite.org, pragma.html#pragma_synchronous). */
const SYNCHRONOUS_FULL = 2;
/** How much of the write-ahead log file is kept after a checkpoint (I10). */
const WAL_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * `record` is one row per record id; the unique index says a second time what the seen sets decide (I5). What all
 * records of one envelope share is one `arrival` row. `start_bytes` is the sum of all earlier rows' sizes, so that a
 * table's size is the difference of two rows.
 */
const SCHEMA = `
  CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL,
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    seen BLOB NOT NULL,
    gap_quota BLOB NOT NULL,
    gap_age BLOB NOT NULL,
    gap_corruption BLOB NOT NULL,
    sealed_at INTEGER,
    duplicates INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,
    UNIQUE (gateway, epoch, stream)
  ) STRICT;
  CREATE TABLE arrival (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    received_wall_ms REAL NOT NULL,
    boot_id TEXT NOT NULL,
    clock_offset_ms REAL NOT NULL,
    clock_quality TEXT NOT NULL
  ) STRICT;
  CREATE TABLE record (
    offset INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    arrival_id INTEGER NOT NULL,
    mono_ms REAL NOT NULL,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX record_id ON record (stream_id, seq);
  CREATE TABLE conflict (
    id INTEGER PRIMARY KEY,
    start_bytes INTEGER NOT NULL,
    stream_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    source TEXT NOT NULL,
    received_wall_ms REAL NOT NULL,
    mono_ms REAL NOT NULL,
    device TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL
  ) STRICT;
  CREATE INDEX conflict_id ON conflict (stream_id, seq);
  CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY,
    start_bytes INTEGER NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    bytes BLOB NOT NULL,
    received_wall_ms REAL NOT NULL
  ) STRICT;
  CREATE TABLE contact (
    gateway TEXT NOT NULL,
    source TEXT NOT NULL,
    last_wall_ms REAL NOT NULL,
    PRIMARY KEY (gateway, source)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE checkpoint (
    source TEXT NOT NULL,
    partition TEXT NOT NULL,
    position TEXT NOT NULL,
    PRIMARY KEY (source, partition)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cursor (feed TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE ping (id INTEGER PRIMARY KEY CHECK (id = 1), wall_ms REAL NOT NULL) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** Made wherever it is missing, without a new version: an older router does not read it, and loses nothing that it knew. */
const ADDED = `
  CREATE TABLE IF NOT EXISTS boot_clock (
    gateway TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    offset_ms REAL NOT NULL,
    PRIMARY KEY (gateway, boot_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS cursor_progress (feed TEXT PRIMARY KEY, progress BLOB NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Opens or makes `file`. Throws when it is not a ledger, is of a newer version, is damaged, or cannot be made durable. */
export function openLedgerFile(file: string): Sqlite {
  const db = new Database(file);
  try {
    db.pragma('journal_mode = WAL');
    db.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
    db.transaction(() => {
      createOrCheck(db, file);
      db.exec(ADDED);
    }).immediate();
    // better-sqlite3 builds SQLite so that WAL turns this to NORMAL at first use: set it last, and look.
    db.pragma('synchronous = FULL');
    expectPragma(db, file, 'synchronous', SYNCHRONOUS_FULL);
    expectPragma(db, file, 'journal_mode', 'wal');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function createOrCheck(db: Sqlite, file: string): void {
  const version = db.pragma('user_version', { simple: true });
  if (version === SCHEMA_VERSION) return;
  if (typeof version === 'number' && version > SCHEMA_VERSION) {
    throw new Error(
      `${file}: written by a newer Headgate (ledger schema ${version}, this one knows up to ${SCHEMA_VERSION})`,
    );
  }
  const tables = db.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get();
  if (tables !== 0) throw new Error(`${file}: a SQLite file, but not a Headgate ledger`);
  db.exec(SCHEMA);
}

function expectPragma(db: Sqlite, file: string, name: string, expected: unknown): void {
  const value = db.pragma(name, { simple: true });
  if (value !== expected) throw new Error(`${file}: PRAGMA ${name} is ${value} where it must be ${expected}`);
}
