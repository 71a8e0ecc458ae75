/**
 * Keeps the tables of evidence (versions in conflict, dead letters) within their bounds in rows and bytes
 * (I10), by account (rules/shares.ts). Each replica checks the bounds only after a number of additions, so a
 * table may exceed them by that number per replica.
 */
import type { SparseLog } from '../../../shared/sparse-log.ts';
import {
  type AccountCap,
  type AccountHeld,
  capsOf,
  type Dropped,
  type EvidenceLimits,
  NO_SHARES,
  type OnDropped,
} from '../rules/shares.ts';
import type { Queryable } from './connection.ts';

/**
 * Bytes of a row besides its texts and its blob: item pointer 4, tuple header 24 (PostgreSQL, "Database Page
 * Layout"), numbers and their alignment 32, headers of values 16, two index entries 48.
 */
const ROW_BYTES = 124;

const CHECK_EVERY_ROWS = 256;
const CHECK_EVERY_BYTES = 4 * 1024 * 1024;

type Table = Dropped['table'];

const TEXTS: Readonly<Record<Table, readonly string[]>> = {
  conflict: ['source', 'gateway', 'device', 'topic', 'payload'],
  dead_letter: ['source', 'gateway', 'reason', 'detail', 'properties', 'payload', 'authenticated_gateway'],
};

/** An expression: the whole size of a row of `e`. */
function wholeSize(table: Table): string {
  return `(${ROW_BYTES} + ${TEXTS[table].map((text) => `coalesce(octet_length(e.${text}), 0)`).join(' + ')})`;
}

/** Keeps one table within its limits. */
export class EvidenceBound {
  readonly #table: Table;
  readonly #limits: EvidenceLimits;
  readonly #log: SparseLog;
  readonly #onDropped: OnDropped;
  #rows = 0;
  #bytes = 0;

  constructor(
    table: Table,
    limits: EvidenceLimits,
    { log, onDropped = () => undefined }: { log: SparseLog; onDropped?: OnDropped | undefined },
  ) {
    this.#table = table;
    this.#limits = limits;
    this.#log = log;
    this.#onDropped = onDropped;
  }

  /** Counts additions after their commit, and drops rows when a check is due. */
  async added(db: Queryable, rows: number, bytes: number, nowWallMs: number): Promise<void> {
    this.#rows += rows;
    this.#bytes += bytes;
    if (this.#rows < CHECK_EVERY_ROWS && this.#bytes < CHECK_EVERY_BYTES) return;
    this.#rows = 0;
    this.#bytes = 0;
    await this.trim(db, nowWallMs);
  }

  /**
   * Drops the oldest rows beyond the bounds. The newest row stays whatever its size, but not whatever its
   * age.
   */
  async trim(db: Queryable, nowWallMs: number): Promise<void> {
    await this.#dropOld(db, nowWallMs);
    const { rowsMax, bytesMax, shares = NO_SHARES } = this.#limits;
    const { rows: accounts } = await db.query<AccountHeld>(
      `SELECT e.source, e.gateway, count(*) AS rows, sum(${wholeSize(this.#table)})::bigint AS bytes
       FROM ${this.#table} e WHERE e.id > 0 GROUP BY e.source, e.gateway`,
    );
    const caps = capsOf(accounts, shares, { rowsMax, bytesMax });
    if (caps.length > 0) await this.#shrink(db, caps);
  }

  async #dropOld(db: Queryable, nowWallMs: number): Promise<void> {
    const { ageMsMax } = this.#limits;
    if (ageMsMax === undefined) return;
    const { rows } = await db.query(
      `DELETE FROM ${this.#table} WHERE id > 0 AND id <=
         (SELECT max(id) FROM ${this.#table} WHERE id > 0 AND received_wall_ms < $1) RETURNING id`,
      [nowWallMs - ageMsMax],
    );
    if (rows.length > 0) this.#log.warn('ledger.evidence_dropped', { table: this.#table, rows: rows.length });
  }

  /** Drops the oldest rows of the accounts, down to their caps. */
  async #shrink(db: Queryable, caps: readonly AccountCap[]): Promise<void> {
    const bound = (value: number): number => Math.min(value, Number.MAX_SAFE_INTEGER);
    const { rows: dropped } = await db.query<Omit<Dropped, 'table'>>(
      `WITH cap AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
           AS c (source, gateway, rows_max, bytes_max)),
         held AS (SELECT e.id, e.source, e.gateway, c.rows_max, c.bytes_max, row_number() OVER newest AS rows,
             sum(${wholeSize(this.#table)}) OVER newest AS bytes
           FROM ${this.#table} e JOIN cap c ON c.source = e.source AND c.gateway = e.gateway WHERE e.id > 0
           WINDOW newest AS (PARTITION BY e.source, e.gateway ORDER BY e.id DESC)),
         gone AS (DELETE FROM ${this.#table} WHERE id IN (SELECT id FROM held WHERE rows > rows_max OR bytes > bytes_max)
           AND id < (SELECT max(id) FROM ${this.#table}) RETURNING source, gateway)
       SELECT source, gateway, count(*) AS rows FROM gone GROUP BY source, gateway`,
      [
        caps.map(({ source }) => source),
        caps.map(({ gateway }) => gateway),
        caps.map(({ rowsMax }) => bound(rowsMax)),
        caps.map(({ bytesMax }) => bound(bytesMax)),
      ],
    );
    for (const one of dropped) {
      this.#log.warn('ledger.evidence_dropped', { table: this.#table, ...one });
      this.#onDropped({ table: this.#table, ...one });
    }
  }
}
