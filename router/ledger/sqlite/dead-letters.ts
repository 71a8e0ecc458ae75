/**
 * The `dead_letter` rows: messages that are no valid envelope for this ledger, with their known properties.
 */
import type { Statement } from 'better-sqlite3';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import type { DeadLetterFilter, DeadLetterHead, StoredDeadLetter } from '../maintenance.ts';
import type { EvidenceLimits, OnDropped } from '../rules/shares.ts';
import { columnsOf, type DeadLetterRow, storedFrom } from '../sql/dead-letter-columns.ts';
import type { DeadLetter } from '../types.ts';
import { EvidenceBound, type Sized } from './evidence.ts';
import type { Sqlite } from './schema.ts';

type Inserted = ReturnType<typeof columnsOf> & { id: number };
interface FilterParameters {
  ids: string | null;
  source: string | null;
  reason: string | null;
  beforeWallMs: number | null;
}

const HEAD = 'id, source, reason, detail, received_wall_ms AS receivedWallMs, length(bytes) AS sizeBytes';
const FILTER = `id > 0 AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids))) AND (:source IS NULL OR source = :source)
  AND (:reason IS NULL OR reason = :reason) AND (:beforeWallMs IS NULL OR received_wall_ms < :beforeWallMs)`;

export class DeadLetterTable {
  readonly #bound: EvidenceBound;
  readonly #insert: Statement<[Inserted], Sized>;
  readonly #newest: Statement<[number], DeadLetterRow>;
  readonly #heads: Statement<[FilterParameters & { limit: number }], DeadLetterHead>;
  readonly #load: Statement<[number], DeadLetterRow>;
  readonly #remove: Statement<[FilterParameters], Sized>;

  constructor(
    db: Sqlite,
    limits: EvidenceLimits,
    deps: { log: SparseLog; onDropped?: OnDropped | undefined },
  ) {
    this.#bound = new EvidenceBound(db, 'dead_letter', limits, deps);
    const sized = `source, gateway, ${this.#bound.size}`;
    this.#insert = db.prepare(
      `INSERT INTO dead_letter (id, source, reason, detail, bytes, received_wall_ms, authenticated_gateway, properties, gateway)
       VALUES (:id, :source, :reason, :detail, :bytes, :receivedWallMs, :authenticatedGateway, :properties, :gateway)
       RETURNING ${sized}`,
    );
    const row = `${HEAD}, bytes, authenticated_gateway AS authenticatedGateway, properties`;
    this.#newest = db.prepare(`SELECT ${row} FROM dead_letter WHERE id > 0 ORDER BY id DESC LIMIT ?`);
    this.#load = db.prepare(`SELECT ${row} FROM dead_letter WHERE id = ? AND id > 0`);
    this.#heads = db.prepare(`SELECT ${HEAD} FROM dead_letter WHERE ${FILTER} ORDER BY id DESC LIMIT :limit`);
    this.#remove = db.prepare(`DELETE FROM dead_letter WHERE ${FILTER} RETURNING ${sized}`);
  }

  /** Runs inside a transaction, like {@link remove}. */
  add(letter: DeadLetter): void {
    const columns = columnsOf(letter);
    this.#bound.append(letter.receivedWallMs, (id) => {
      const inserted = this.#insert.get({ id, ...columns });
      if (!inserted) throw new Error('no dead letter was inserted');
      return inserted;
    });
  }

  newest(limit: number): StoredDeadLetter[] {
    return this.#newest.all(limit).map(storedFrom);
  }

  heads(filter: DeadLetterFilter, limit: number): DeadLetterHead[] {
    return this.#heads.all({ ...parameters(filter), limit });
  }

  load(id: number): StoredDeadLetter | null {
    const row = this.#load.get(id);
    return row ? storedFrom(row) : null;
  }

  remove(filter: DeadLetterFilter): number {
    return this.#bound.remove(() => this.#remove.all(parameters(filter))).length;
  }

  /** Drops letters that are too old or beyond the bounds, inside a transaction. */
  expire(nowWallMs: number): void {
    this.#bound.expire(nowWallMs);
  }

  /** The count of all letters ever added. */
  count(): number {
    return this.#bound.ever();
  }
}

function parameters({ ids, source, reason, beforeWallMs }: DeadLetterFilter): FilterParameters {
  return {
    ids: ids === undefined ? null : JSON.stringify(ids),
    source: source ?? null,
    reason: reason ?? null,
    beforeWallMs: beforeWallMs ?? null,
  };
}
