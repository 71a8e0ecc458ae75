/** The tables of the ledger's SQLite file: version 1, and the steps from each version to the next. */
import { FIRST_MARKS, SHARE_MARK } from './marks.ts';

/**
 * `record` has one row per record id; its unique index enforces again the decision of the seen sets (I5). An
 * `arrival` row holds the common fields of all records of one envelope.
 */
export const SCHEMA = `
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
`;

/** Forward only, never changed once released. Each step starts from the result of the one before. */
export const STEPS: readonly string[] = [
  // The first two tables may exist in a file of version 1: they were added without a new version. `kept`
  // holds the count of rows ever added, and the present count and size, so that rows may be deleted anywhere.
  `
  CREATE TABLE IF NOT EXISTS boot_clock (
    gateway TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    offset_ms REAL NOT NULL,
    PRIMARY KEY (gateway, boot_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS cursor_progress (feed TEXT PRIMARY KEY, progress BLOB NOT NULL) STRICT, WITHOUT ROWID;
  ALTER TABLE dead_letter ADD COLUMN authenticated_gateway TEXT;
  ALTER TABLE dead_letter ADD COLUMN properties TEXT NOT NULL DEFAULT '{}';
  ALTER TABLE dead_letter DROP COLUMN start_bytes;
  ALTER TABLE conflict DROP COLUMN start_bytes;
  CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    ever INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO kept SELECT 'conflict', ifnull(max(id), 0), count(*), ifnull(sum(length(payload)), 0) FROM conflict;
  INSERT INTO kept SELECT 'dead_letter', ifnull(max(id), 0), count(*), ifnull(sum(length(bytes)), 0) FROM dead_letter;
  `,
  // Records are removed, so the highest assigned offset may belong to no record.
  `
  ALTER TABLE stream ADD COLUMN withdrawn BLOB;
  ALTER TABLE conflict ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), last_offset INTEGER NOT NULL) STRICT;
  INSERT INTO head SELECT 1, ifnull(max(offset), 0) FROM record;
  ALTER TABLE arrival ADD COLUMN first_offset INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE arrival ADD COLUMN last_offset INTEGER NOT NULL DEFAULT 0;
  UPDATE arrival SET first_offset = r.first, last_offset = r.last
    FROM (SELECT arrival_id, min(offset) AS first, max(offset) AS last FROM record GROUP BY arrival_id) r
    WHERE r.arrival_id = arrival.id;
  `,
  // `volume` holds the payload bytes of a stream name in an hour; a row is deleted with its last arrival.
  `
  ALTER TABLE arrival ADD COLUMN stream_id INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE arrival ADD COLUMN stream TEXT NOT NULL DEFAULT '';
  ALTER TABLE arrival ADD COLUMN hour INTEGER NOT NULL DEFAULT 0;
  UPDATE arrival SET stream_id = s.id, stream = s.stream, hour = CAST(received_wall_ms / 3600000 AS INTEGER)
    FROM record r JOIN stream s ON s.id = r.stream_id WHERE r.offset = arrival.last_offset;
  CREATE INDEX arrival_hour ON arrival (stream, hour);
  CREATE TABLE volume (
    stream TEXT NOT NULL,
    hour INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (stream, hour)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO volume SELECT a.stream, a.hour, sum(length(r.payload))
    FROM record r JOIN arrival a ON a.id = r.arrival_id GROUP BY a.stream, a.hour;
  `,
  `
  CREATE TABLE erasure (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    gateway TEXT,
    actor TEXT NOT NULL,
    started_wall_ms REAL NOT NULL,
    finished_wall_ms REAL,
    records INTEGER NOT NULL DEFAULT 0,
    versions INTEGER NOT NULL DEFAULT 0,
    dead_letters INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  `,
  `
  CREATE TABLE repetition (
    id INTEGER PRIMARY KEY,
    stream_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    source TEXT NOT NULL,
    received_wall_ms REAL NOT NULL,
    redelivered INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX repetition_seq ON repetition (stream_id, first_seq);
  `,
  // A SendReason; null where the gateway gave none.
  `
  ALTER TABLE arrival ADD COLUMN sent_as TEXT;
  ALTER TABLE repetition ADD COLUMN sent_as TEXT;
  `,
  `
  ALTER TABLE stream ADD COLUMN gap_other BLOB;
  `,
  // Distinguishes this ledger from every other (router-lock.ts).
  `
  CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1), ledger_id TEXT NOT NULL) STRICT;
  INSERT INTO identity VALUES (1, lower(hex(randomblob(16))));
  `,
  // Which ids a signature has vouched for; those from before count as vouched for.
  `
  ALTER TABLE stream ADD COLUMN proof BLOB;
  `,
  FIRST_MARKS,
  // The account of each row: what one source brought of one gateway (rules/shares.ts). The engine counts
  // `kept` anew when it differs from the rows.
  `
  ALTER TABLE dead_letter ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
  ALTER TABLE conflict ADD COLUMN gateway TEXT NOT NULL DEFAULT '';
  UPDATE dead_letter SET gateway = authenticated_gateway WHERE id > 0 AND authenticated_gateway IS NOT NULL;
  UPDATE conflict SET gateway = s.gateway FROM stream s WHERE s.id = conflict.stream_id AND conflict.id > 0;
  CREATE INDEX dead_letter_account ON dead_letter (source, gateway);
  CREATE INDEX conflict_account ON conflict (source, gateway);
  `,
  // The bytes by gateway (shares.ts). Arrivals from before have none, and are in no share.
  `
  ALTER TABLE arrival ADD COLUMN bytes INTEGER;
  CREATE INDEX arrival_share ON arrival (stream_id, hour) WHERE bytes IS NOT NULL;
  ALTER TABLE volume ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE share (
    gateway TEXT NOT NULL,
    stream TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (gateway, stream)
  ) STRICT, WITHOUT ROWID;
  ${SHARE_MARK};
  `,
];
