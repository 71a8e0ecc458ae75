/** `headgate ledger accept`: tables that are missing, emptied or older become the ledger's as they are. */
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type FileKey, openSqlite, type Sqlite } from '../../../shared/sqlite/open.ts';
import { consequenceOf } from '../accepted-parts.ts';
import { ENVELOPE_BYTES, RECORD_BYTES } from '../rules/retention.ts';
import { type Fault, faultOf, isAcceptable, markTable, refusal } from './marks.ts';
import { isCurrent, prepareLedger, unreadable } from './schema.ts';
import { SCHEMA, STEPS } from './tables.ts';

/** The engine counts `kept` anew where it differs from the rows. */
const COUNTS: Readonly<Record<string, string>> = {
  volume: `DELETE FROM volume; INSERT INTO volume SELECT stream, hour, sum(stored), ifnull(sum(bytes), 0) FROM (
      SELECT a.stream, a.hour, a.bytes, ${ENVELOPE_BYTES} + sum(${RECORD_BYTES} + octet_length(r.device)
        + octet_length(r.topic) + length(r.payload)) AS stored
      FROM record r JOIN arrival a ON a.id = r.arrival_id WHERE r.offset > 0 GROUP BY a.id)
    GROUP BY stream, hour`,
  share: `DELETE FROM share; INSERT INTO share SELECT s.gateway, a.stream, sum(a.bytes)
    FROM arrival a JOIN stream s ON s.id = a.stream_id WHERE a.id > 0 AND a.bytes IS NOT NULL
    GROUP BY s.gateway, a.stream`,
  kept: `DELETE FROM kept;
    INSERT INTO kept SELECT 'conflict', max(id), count(*) - 1, sum(length(payload)) FROM conflict;
    INSERT INTO kept SELECT 'dead_letter', max(id), count(*) - 1, sum(length(bytes)) FROM dead_letter`,
};
const FAULTS_MAX = 20;

/**
 * A line for each table. Throws StartRefused for a table without which records would be missed or taken
 * twice, and for a wrong key. A missing file, or one that a router has to bring forward first, has nothing to
 * accept.
 */
export function acceptTables(file: string, key: FileKey | null = null): string[] {
  if (!existsSync(file)) return [];
  prepareLedger(file, key, false);
  const db = openSqlite(file, { fileMustExist: true }, key);
  try {
    return isCurrent(db) ? db.transaction(() => acceptAll(db, file)).immediate() : [];
  } catch (error) {
    throw unreadable(file, key, error);
  } finally {
    db.close();
  }
}

function acceptAll(db: Sqlite, file: string): string[] {
  const lines: string[] = [];
  for (let fault = faultOf(db); fault !== null; fault = faultOf(db)) {
    // Each round mends the tables of one fault.
    if (!isAcceptable(fault) || lines.length > FAULTS_MAX) throw refusal(file, fault);
    accept(db, fault);
    lines.push(...fault.tables.map((table) => `table ${table}: ${consequenceOf(table) ?? ''}`));
  }
  return lines;
}

function accept(db: Sqlite, { kind, tables }: Fault): void {
  for (const table of tables) {
    if (kind === 'missing') recreate(db, table);
    db.exec(COUNTS[table] ?? '');
    markTable(db, table);
  }
}

/** Creates the table as the steps leave it, without content. */
function recreate(db: Sqlite, table: string): void {
  const model = new Database(':memory:');
  try {
    for (const step of [SCHEMA, ...STEPS]) model.exec(step);
    const made = model
      .prepare<[string], string>('SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL')
      .pluck();
    for (const sql of made.all(table)) db.exec(sql);
  } finally {
    model.close();
  }
}
