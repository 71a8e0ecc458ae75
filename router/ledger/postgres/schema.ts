/**
 * The ledger's tables in PostgreSQL 15 or newer, and their migrations: numbered, forward only, applied once
 * under an advisory lock however many replicas start together. A newer schema is refused.
 *
 * Every key of a table that grows with the fleet begins with the gateway. `record` and `arrival` (the common
 * fields of an envelope's new records) are partitioned by the day of their commit, so that old days are
 * dropped as whole tables. A unique index on a partitioned table must include the day, so it cannot enforce
 * that an id is held once: the stream's row, which every commit locks, decides that (I5).
 */
import { dateOf } from '../../../shared/clock.ts';
import { EXIT } from '../../../shared/exit-codes.ts';
import { StartRefused } from '../../../shared/start-refused.ts';
import type { Database, Queryable } from './connection.ts';
import { type Fault, missingFault, refusal } from './identity.ts';
import { FIRST_MARKS } from './marks.ts';

const SERVER_VERSION_MIN = 150_000;
const PARTITIONED = ['arrival', 'record'];

/** Append only once released: a schema of version n has the first n migrations. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE stream (
    gateway text NOT NULL,
    epoch text NOT NULL,
    stream text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    seen bytea NOT NULL,
    gap_quota bytea NOT NULL,
    gap_age bytea NOT NULL,
    gap_corruption bytea NOT NULL,
    sealed_at bigint,
    duplicates bigint NOT NULL DEFAULT 0,
    conflicts bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (gateway, epoch, stream)
  );
  CREATE UNIQUE INDEX stream_id ON stream (gateway, id);
  CREATE SEQUENCE arrival_id;
  CREATE TABLE arrival (
    gateway text NOT NULL,
    id bigint NOT NULL,
    month integer NOT NULL,
    stream_id bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    source text NOT NULL,
    received_wall_ms double precision NOT NULL,
    boot_id text NOT NULL,
    clock_offset_ms double precision NOT NULL,
    clock_quality text NOT NULL,
    PRIMARY KEY (gateway, id, month)
  ) PARTITION BY LIST (month);
  CREATE INDEX arrival_offset ON arrival (last_offset);
  CREATE TABLE record (
    gateway text NOT NULL,
    stream_id bigint NOT NULL,
    seq bigint NOT NULL,
    month integer NOT NULL,
    arrival_id bigint NOT NULL,
    position integer NOT NULL,
    mono_ms double precision NOT NULL,
    device text NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (gateway, stream_id, seq, month)
  ) PARTITION BY LIST (month);
  CREATE TABLE conflict (
    gateway text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    stream_id bigint NOT NULL,
    seq bigint NOT NULL,
    source text NOT NULL,
    received_wall_ms double precision NOT NULL,
    mono_ms double precision NOT NULL,
    device text NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (gateway, stream_id, seq, id)
  );
  CREATE INDEX conflict_id ON conflict (id);
  CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    received_wall_ms double precision NOT NULL
  );
  CREATE TABLE contact (
    gateway text NOT NULL,
    source text NOT NULL,
    last_wall_ms double precision NOT NULL,
    PRIMARY KEY (gateway, source)
  );
  CREATE TABLE checkpoint (
    source text NOT NULL,
    partition text NOT NULL,
    position text NOT NULL,
    PRIMARY KEY (source, partition)
  );
  CREATE TABLE cursor (feed text PRIMARY KEY, last_offset bigint NOT NULL);
  CREATE TABLE head (
    id integer PRIMARY KEY CHECK (id = 1),
    last_offset bigint NOT NULL,
    dead_letters bigint NOT NULL
  );
  CREATE TABLE ping (id integer PRIMARY KEY CHECK (id = 1), wall_ms double precision NOT NULL);
  INSERT INTO head (id, last_offset, dead_letters) VALUES (1, 0, 0);
  `,
  `
  CREATE TABLE boot_clock (
    gateway text NOT NULL,
    boot_id text NOT NULL,
    offset_ms double precision NOT NULL,
    PRIMARY KEY (gateway, boot_id)
  );
  `,
  `
  ALTER TABLE cursor ADD COLUMN progress bytea NOT NULL DEFAULT '', ADD COLUMN holder text,
    ADD COLUMN held_until timestamptz;
  `,
  `
  ALTER TABLE dead_letter ADD COLUMN authenticated_gateway text, ADD COLUMN properties text NOT NULL DEFAULT '{}';
  `,
  `
  ALTER TABLE stream ADD COLUMN withdrawn bytea;
  ALTER TABLE conflict ADD COLUMN standing boolean NOT NULL DEFAULT false;
  `,
  // Partitions by day. Monthly partitions keep their numbers.
  `
  ALTER TABLE arrival RENAME COLUMN month TO day;
  ALTER TABLE record RENAME COLUMN month TO day;
  ALTER TABLE arrival ADD COLUMN stream text NOT NULL DEFAULT '', ADD COLUMN hour integer NOT NULL DEFAULT 0;
  UPDATE arrival a SET stream = s.stream, hour = floor(a.received_wall_ms / 3600000)
    FROM stream s WHERE s.gateway = a.gateway AND s.id = a.stream_id;
  CREATE INDEX arrival_hour ON arrival (stream, hour);
  CREATE TABLE volume (
    stream text NOT NULL,
    hour integer NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (stream, hour)
  );
  INSERT INTO volume SELECT a.stream, a.hour, sum(octet_length(r.payload))
    FROM record r JOIN arrival a ON a.gateway = r.gateway AND a.id = r.arrival_id AND a.day = r.day
    GROUP BY a.stream, a.hour;
  `,
  `
  CREATE TABLE erasure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL,
    gateway text,
    actor text NOT NULL,
    started_wall_ms double precision NOT NULL,
    finished_wall_ms double precision,
    records bigint NOT NULL DEFAULT 0,
    versions bigint NOT NULL DEFAULT 0,
    dead_letters bigint NOT NULL DEFAULT 0
  );
  `,
  `
  CREATE TABLE repetition (
    gateway text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    stream_id bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    source text NOT NULL,
    received_wall_ms double precision NOT NULL,
    redelivered boolean NOT NULL,
    PRIMARY KEY (gateway, stream_id, first_seq, id)
  );
  CREATE INDEX repetition_id ON repetition (id);
  `,
  // A SendReason; null where the gateway gave none.
  `
  ALTER TABLE arrival ADD COLUMN sent_as text;
  ALTER TABLE repetition ADD COLUMN sent_as text;
  `,
  `
  ALTER TABLE stream ADD COLUMN gap_other bytea;
  `,
  // The ledger's id, in each table whose rows depend on the other tables (identity.ts).
  `
  ALTER TABLE head ADD COLUMN ledger_id text NOT NULL DEFAULT gen_random_uuid()::text;
  INSERT INTO cursor (feed, last_offset, progress) SELECT '', 0, convert_to(ledger_id, 'UTF8') FROM head;
  INSERT INTO checkpoint (source, partition, position) SELECT '', '', ledger_id FROM head;
  `,
  // Which ids a signature has vouched for; those from before count as vouched for.
  `
  ALTER TABLE stream ADD COLUMN proof bytea;
  `,
  FIRST_MARKS,
  // The account of each letter: what one source brought of one gateway (rules/shares.ts).
  `
  ALTER TABLE dead_letter ADD COLUMN gateway text NOT NULL DEFAULT '';
  UPDATE dead_letter SET gateway = authenticated_gateway WHERE id > 0 AND authenticated_gateway IS NOT NULL;
  `,
  // The bytes by gateway (shares.ts). Arrivals from before, and of older routers, have none and are in no
  // share.
  `
  ALTER TABLE arrival ADD COLUMN bytes integer;
  CREATE INDEX arrival_share ON arrival (gateway, stream, hour) WHERE bytes IS NOT NULL;
  ALTER TABLE volume ADD COLUMN shared bigint NOT NULL DEFAULT 0;
  CREATE TABLE share (
    gateway text NOT NULL,
    stream text NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (gateway, stream)
  );
  `,
];

/** Whether there is a ledger in the schema, or some of its tables. */
export async function hasSchema(db: Database, schema: string): Promise<boolean> {
  const { rows } = await db.query<{ there: boolean }>(
    'SELECT coalesce(to_regclass($1), to_regclass($2)) IS NOT NULL AS there',
    [`${schema}.schema_version`, `${schema}.head`],
  );
  return rows[0]?.there === true;
}

/** Rejects when the schema is missing or of another version: a tool creates nothing. */
export async function expectSchema(db: Database, schema: string): Promise<void> {
  if (!(await hasSchema(db, schema)))
    throw new StartRefused(`there is no ledger in schema ${schema}`, EXIT.failed);
  const version = await db.transaction((client) => versionOf(client, schema));
  if (version === MIGRATIONS.length) return;
  throw new StartRefused(
    `schema ${schema}: ledger schema ${version}, where this version of Headgate has ${MIGRATIONS.length}; a router brings an older one forward when it starts`,
    EXIT.config,
  );
}

/** 0 where there is no ledger. Throws StartRefused when a ledger's tables are there without their version. */
async function versionOf(client: Queryable, schema: string): Promise<number> {
  const { rows: there } = await client.query<{ versions: boolean; head: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS versions, to_regclass($2) IS NOT NULL AS head',
    [`${schema}.schema_version`, `${schema}.head`],
  );
  const [{ versions, head } = { versions: false, head: false }] = there;
  if (!versions && head) throw refusal(schema, missingFault(['schema_version']));
  if (!versions) return 0;
  const { rows } = await client.query<{ version: number | null }>(
    'SELECT max(version) AS version FROM schema_version',
  );
  const version = rows[0]?.version ?? 0;
  if (version === 0 && head) throw refusal(schema, versionFault('emptied', 'was emptied'));
  return version;
}

function versionFault(kind: Fault['kind'], what: string): Fault {
  return { kind, tables: ['schema_version'], problem: `table schema_version ${what}` };
}

/** Migrates the schema to this version. Rejects when the server or the schema is not usable. */
export async function migrate(db: Database, schema: string): Promise<void> {
  await db.transaction(async (client) => {
    await checkServer(client);
    await lock(client, schema);
    // IF NOT EXISTS needs the right to create even when the schema exists.
    const { rows: schemas } = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
    if (schemas.length === 0) await client.query(`CREATE SCHEMA ${schema}`);
    const version = await versionOf(client, schema);
    await client.query('CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)');
    if (version > MIGRATIONS.length) {
      throw new StartRefused(
        `schema ${schema}: written by a newer Headgate (ledger schema ${version}, this one knows up to ${MIGRATIONS.length})`,
        EXIT.config,
      );
    }
    for (const [i, migration] of MIGRATIONS.entries()) {
      if (i < version) continue;
      await client.query(migration).catch((error: unknown) => {
        throw isThere(error) ? refusal(schema, versionFault('older', 'is an older copy')) : error;
      });
      await client.query('INSERT INTO schema_version (version) VALUES ($1)', [i + 1]);
    }
  });
}

/** Creates `tables` as the migrations leave them, without content. */
export async function recreate(client: Queryable, schema: string, tables: readonly string[]): Promise<void> {
  const aside = `${schema}_anew`;
  await client.query(`CREATE SCHEMA "${aside}"; SET LOCAL search_path = "${aside}"`);
  for (const migration of MIGRATIONS) await client.query(migration);
  for (const table of tables) await client.query(`ALTER TABLE ${table} SET SCHEMA "${schema}"`);
  await client.query(`SET LOCAL search_path = "${schema}"; DROP SCHEMA "${aside}" CASCADE`);
  // The marks of a ledger that never was.
  for (const table of tables) await client.query(`DELETE FROM ${table}`);
}

/** duplicate_column, duplicate_table, undefined_column (PostgreSQL, appendix A): it has run before. */
function isThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^42(701|P07|703)$/.test(String(error.code));
}

/** Creates missing partitions of `day`. Any number of replicas may do so at once. */
export async function makePartitions(db: Database, schema: string, day: number): Promise<void> {
  await db.transaction(async (client) => {
    await lock(client, schema);
    for (const table of PARTITIONED) {
      await client.query(
        `CREATE TABLE IF NOT EXISTS ${table}_${day} PARTITION OF ${table} FOR VALUES IN (${day})`,
      );
    }
  });
}

/** Drops the partitions of `day` with their rows. */
export async function dropPartitions(client: Queryable, schema: string, day: number): Promise<void> {
  await lock(client, schema);
  for (const table of PARTITIONED) await client.query(`DROP TABLE IF EXISTS ${table}_${day}`);
}

/** The days with partitions, ascending. Older monthly partitions are cleaned row by row. */
export async function partitionDays(client: Queryable): Promise<number[]> {
  const { rows } = await client.query<{ day: number }>(
    `SELECT substring(c.relname FROM '_([0-9]{8})$')::integer AS day
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'arrival'::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY day`,
  );
  return rows.map(({ day }) => day);
}

/** The partition of a wall time: its UTC day as a readable number, 20261121. */
export function dayOf(wallMs: number): number {
  const date = dateOf(wallMs);
  return date.getUTCFullYear() * 10_000 + (date.getUTCMonth() + 1) * 100 + date.getUTCDate();
}

/** Takes a lock, shared by all replicas, until the transaction's end. */
export async function lock(client: Queryable, schema: string): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`headgate ledger ${schema}`]);
}

/** Throws StartRefused for a server that is too old, or not durable. */
export async function checkServer(client: Queryable): Promise<void> {
  const { rows } = await client.query<{ version: number; fsync: string }>(
    `SELECT current_setting('server_version_num')::integer AS version, current_setting('fsync') AS fsync`,
  );
  const [server] = rows;
  if (!server || server.version < SERVER_VERSION_MIN) {
    throw new StartRefused('PostgreSQL 15 or newer is needed', EXIT.config);
  }
  if (server.fsync === 'off') {
    throw new StartRefused('PostgreSQL runs with fsync off: a commit would not be durable', EXIT.config);
  }
}
