/**
 * The buffer's tables, as the steps that lead to them: a file of an older version is brought forward step by step, one of
 * a newer version is refused. `PRAGMA user_version` is the number of steps that a file has taken.
 */
import type Database from 'better-sqlite3';
import { StoreError } from './types.ts';

/** `freed` and `ranges` are `IntervalSet.encode()`; `epoch.number` is the start counter and is never given twice (I2). */
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

/** Each takes the file one version further. Append only: a step that was released never changes. */
const STEPS: ReadonlyArray<(db: Database.Database) => void> = [(db) => db.exec(FIRST)];

/** Steps that a file with all tables of this program has taken. */
const SCHEMA_VERSION = STEPS.length;

/** Throws StoreError `newer-schema` when a newer program wrote the file. */
export function refuseNewer(version: number): void {
  if (version <= SCHEMA_VERSION) return;
  throw new StoreError(
    'newer-schema',
    `the buffer has schema version ${version}, this program knows ${SCHEMA_VERSION}: update headgate`,
  );
}

/** Takes the steps that the file has not taken, all or none. */
export function migrate(db: Database.Database, version: number): void {
  if (version >= SCHEMA_VERSION) return;
  db.transaction(() => {
    for (const step of STEPS.slice(version)) step(db);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  }).exclusive();
}
