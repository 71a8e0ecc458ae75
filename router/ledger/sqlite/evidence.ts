/**
 * Keeps a table of evidence within its bounds in rows and bytes (I10), by account (rules/shares.ts): the
 * oldest rows of an account that holds too much are dropped first, with a log line. Rows may be removed
 * anywhere; ids are never reused.
 */
import type { Statement } from 'better-sqlite3';
import type { SparseLog } from '../../../shared/sparse-log.ts';
import {
  type Account,
  type AccountCap,
  type AccountHeld,
  capsOf,
  type EvidenceLimits,
  NO_SHARES,
  type OnDropped,
} from '../rules/shares.ts';
import type { Sqlite } from './schema.ts';

/**
 * Bytes of a row in the file besides its texts and its blob: header, numbers, pointers, index entries. As
 * measured by the file's growth; rows of about a quarter of a page (4096 bytes), of which few fit on it, take
 * up to a quarter more than is counted.
 */
const ROW_BYTES = 64;

interface Kept {
  ever: number;
  rows: number;
  bytes: number;
}

interface Row extends Account {
  id: number;
  bytes: number;
  receivedWallMs: number;
}

/** A row that is added or removed. */
export interface Sized extends Account {
  bytes: number;
}

/** An expression: the whole size of a row. The index of accounts holds source and gateway again. */
function wholeSize(table: 'conflict' | 'dead_letter'): string {
  const own =
    table === 'conflict'
      ? ['device', 'topic', 'payload']
      : ['reason', 'detail', 'properties', 'bytes', "ifnull(authenticated_gateway, '')"];
  const texts = ['source', 'source', 'gateway', 'gateway', ...own];
  return `(${ROW_BYTES} + ${texts.map((text) => `octet_length(${text})`).join(' + ')})`;
}

export class EvidenceBound {
  /** A column for RETURNING or SELECT: the whole size of a row. */
  readonly size: string;
  readonly #table: 'conflict' | 'dead_letter';
  readonly #limits: EvidenceLimits;
  readonly #log: SparseLog;
  readonly #onDropped: OnDropped;
  readonly #kept: Statement<[string], Kept>;
  readonly #save: Statement<[Kept & { name: string }]>;
  readonly #accountsHeld: Statement<[], AccountHeld>;
  readonly #oldest: Statement<[], Row>;
  readonly #oldestOf: Statement<[string, string], Row>;
  readonly #drop: Statement<[number]>;
  /** As of {@link #known}. */
  readonly #accounts = new Map<string, AccountHeld>();
  /** Null, or another than the file's after a rollback or a write of another program: counted anew. */
  #known: Kept | null = null;

  constructor(
    db: Sqlite,
    table: 'conflict' | 'dead_letter',
    limits: EvidenceLimits,
    { log, onDropped = () => undefined }: { log: SparseLog; onDropped?: OnDropped | undefined },
  ) {
    this.#table = table;
    this.#limits = limits;
    this.#log = log;
    this.#onDropped = onDropped;
    this.size = `${wholeSize(table)} AS bytes`;
    const row = `id, source, gateway, received_wall_ms AS receivedWallMs, ${this.size}`;
    this.#kept = db.prepare('SELECT ever, rows, bytes FROM kept WHERE name = ?');
    this.#save = db.prepare('UPDATE kept SET ever = :ever, rows = :rows, bytes = :bytes WHERE name = :name');
    this.#accountsHeld = db.prepare(
      `SELECT source, gateway, count(*) AS rows, sum(${wholeSize(table)}) AS bytes FROM ${table} WHERE id > 0
       GROUP BY source, gateway`,
    );
    this.#oldest = db.prepare(`SELECT ${row} FROM ${table} WHERE id > 0 ORDER BY id LIMIT 1`);
    this.#oldestOf = db.prepare(
      `SELECT ${row} FROM ${table} WHERE source = ? AND gateway = ? AND id > 0 ORDER BY id LIMIT 1`,
    );
    this.#drop = db.prepare(`DELETE FROM ${table} WHERE id = ?`);
  }

  /** The count of all rows ever added. */
  ever(): number {
    return this.#kept.get(this.#table)?.ever ?? 0;
  }

  /** Inserts the next row, then drops the rows beyond the bounds; the newest always stays. */
  append(nowWallMs: number, insert: (id: number) => Sized): void {
    const kept = this.#begin();
    const id = kept.ever + 1;
    const { bytes, ...account } = insert(id);
    const after = this.#change(account, 1, bytes);
    this.#trim({ ...kept, ever: id, rows: kept.rows + 1, bytes: kept.bytes + bytes }, nowWallMs, {
      id,
      account: after,
    });
  }

  /** Removes rows inside a transaction; `remove` returns them. */
  remove<Removed extends Sized>(remove: () => Removed[]): Removed[] {
    const kept = this.#begin();
    const rows = remove();
    for (const { source, gateway, bytes } of rows) this.#change({ source, gateway }, -1, -bytes);
    const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
    this.#write({ ...kept, rows: kept.rows - rows.length, bytes: kept.bytes - bytes });
    return rows;
  }

  /** Drops rows that are too old or beyond the bounds, inside a transaction. */
  expire(nowWallMs: number): void {
    this.#trim(this.#begin(), nowWallMs, null);
  }

  #trim(kept: Kept, nowWallMs: number, added: { id: number; account: AccountHeld } | null): void {
    const aged = this.#dropOld(kept, nowWallMs, added?.id ?? null);
    const { bytesMax, rowsMax, shares = NO_SHARES } = this.#limits;
    const isWithin = aged.rows <= rowsMax && aged.bytes <= bytesMax;
    // Usually only the account of the new row can be over.
    const asked = isWithin && added !== null ? [added.account] : [...this.#accounts.values()];
    let now = aged;
    for (const cap of capsOf(asked, shares, { rowsMax, bytesMax })) {
      now = this.#shrink(cap, now);
    }
    this.#write(now);
  }

  /** Drops the oldest rows past the bound of age. */
  #dropOld(kept: Kept, nowWallMs: number, newest: number | null): Kept {
    const { ageMsMax = Number.POSITIVE_INFINITY } = this.#limits;
    const dropped: Row[] = [];
    for (let old = this.#oldest.get(); old && old.id !== newest; old = this.#oldest.get()) {
      if (nowWallMs - old.receivedWallMs <= ageMsMax) break;
      this.#dropRow(old);
      dropped.push(old);
    }
    if (dropped.length > 0) this.#tell(dropped.length, null);
    return without(kept, dropped);
  }

  /** Drops the oldest rows of an account down to its cap; the newest of all stays. */
  #shrink(cap: AccountCap, kept: Kept): Kept {
    const { source, gateway, rowsMax, bytesMax } = cap;
    const dropped: Row[] = [];
    for (;;) {
      const held = this.#accounts.get(nameOf(cap));
      if (!held || (held.rows <= rowsMax && held.bytes <= bytesMax)) break;
      const old = this.#oldestOf.get(source, gateway);
      if (!old || old.id === kept.ever) break;
      this.#dropRow(old);
      dropped.push(old);
    }
    if (dropped.length > 0) this.#tell(dropped.length, { source, gateway });
    return without(kept, dropped);
  }

  #dropRow({ id, source, gateway, bytes }: Row): void {
    this.#drop.run(id);
    this.#change({ source, gateway }, -1, -bytes);
  }

  #tell(rows: number, account: Account | null): void {
    const table = this.#table;
    this.#log.warn('ledger.evidence_dropped', { table, rows, ...account });
    if (account !== null) this.#onDropped({ table, rows, ...account });
  }

  #change(account: Account, rows: number, bytes: number): AccountHeld {
    const name = nameOf(account);
    const before = this.#accounts.get(name) ?? { ...account, rows: 0, bytes: 0 };
    const after = { ...before, rows: before.rows + rows, bytes: before.bytes + bytes };
    if (after.rows === 0) this.#accounts.delete(name);
    else this.#accounts.set(name, after);
    return after;
  }

  /** The totals before a change. Until it is written, the accounts are no file's: it may fail in between. */
  #begin(): Kept {
    const kept = this.#read();
    this.#known = null;
    return kept;
  }

  /** The totals; {@link #accounts} are theirs afterwards. */
  #read(): Kept {
    const stored = this.#kept.get(this.#table) ?? { ever: 0, rows: 0, bytes: 0 };
    const known = this.#known;
    if (known?.ever === stored.ever && known.rows === stored.rows && known.bytes === stored.bytes)
      return stored;
    this.#accounts.clear();
    const all = this.#accountsHeld.all();
    for (const held of all) this.#accounts.set(nameOf(held), held);
    const rows = all.reduce((sum, held) => sum + held.rows, 0);
    const bytes = all.reduce((sum, held) => sum + held.bytes, 0);
    return { ever: stored.ever, rows, bytes };
  }

  #write(kept: Kept): void {
    this.#known = kept;
    this.#save.run({ name: this.#table, ...kept });
  }
}

function without({ ever, rows, bytes }: Kept, dropped: readonly Row[]): Kept {
  return {
    ever,
    rows: rows - dropped.length,
    bytes: dropped.reduce((left, row) => left - row.bytes, bytes),
  };
}

function nameOf({ source, gateway }: Account): string {
  return JSON.stringify([source, gateway]);
}
