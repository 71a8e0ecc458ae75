/**
 * Connections to PostgreSQL: a bounded pool, time limits on everything, and transactions that are tried
 * again.
 *
 * A pooler such as PgBouncer gives each transaction whichever connection to the server is free, and drops or
 * refuses what a client asks for when it connects. So nothing is asked for there: each transaction begins by
 * setting its schema, isolation and time limits for itself, and a statement is a transaction of its own.
 */
import pg from 'pg';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import type { SparseLog } from '../../../shared/sparse-log.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=verify-full`. A secret. */
  url: string;
  /** The schema of the ledger's tables: lower case letters, digits and `_`. */
  schema: string;
  connectionsMax: number;
  /** Longest wait for a connection; longest statement. */
  timeoutMs: number;
}

/** What the tables of the engine ask: rows of a statement. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>;
}

/**
 * serialization_failure and deadlock_detected (PostgreSQL, appendix A): nothing was committed, the same may
 * succeed now.
 */
const TRY_AGAIN: ReadonlySet<unknown> = new Set(['40001', '40P01']);
/** lock_not_available: another transaction held what this one needs for longer than it waits. */
const LOCK_NOT_AVAILABLE = '55P03';
/**
 * Data exceptions, and limits of the program such as an index row that is too long: the same fails again for
 * ever.
 */
const NEVER = /^(22|54)/;
const TRIES_MAX = 5;
const RETRY_FIRST_MS = 10;
/** The client gives up on a server that does not answer at all this long after the server should have. */
const ANSWER_GRACE_MS = 2000;
const INT8_OID = 20;

export interface TransactionOptions {
  mode?: 'READ COMMITTED' | 'REPEATABLE READ';
  /** Longest wait for a lock that another transaction holds. Default: as long as for the statement. */
  lockMs?: number;
}

export class Database implements Queryable {
  readonly #pool: pg.Pool;
  readonly #clock: Clock;
  readonly #settings: string;
  #closed: Promise<void> | null = null;

  constructor(options: PostgresOptions, clock: Clock, log: Pick<SparseLog, 'warn'>) {
    const { url, schema, connectionsMax, timeoutMs } = options;
    this.#clock = clock;
    // A schema's name is of letters, digits and `_` (options.ts).
    this.#settings = [
      `SET LOCAL search_path = "${schema}"`,
      `SET LOCAL statement_timeout = ${timeoutMs}`,
      // The locks of a replica that vanished from the network end with its transaction.
      `SET LOCAL idle_in_transaction_session_timeout = ${timeoutMs}`,
      // A role, or another client of the pooler, may have turned it off: a commit would not be durable.
      `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'`,
    ].join('; ');
    this.#pool = new pg.Pool({
      connectionString: url,
      max: connectionsMax,
      connectionTimeoutMillis: timeoutMs,
      query_timeout: timeoutMs + ANSWER_GRACE_MS,
      keepAlive: true,
      types: { getTypeParser },
    });
    const lost = (error: Error): void => log.warn('ledger.connection_lost', { error: errorText(error) });
    this.#pool.on('error', lost);
    // The pool listens to idle connections only; one in use would end the process.
    this.#pool.on('connect', (client) => client.on('error', lost));
  }

  query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<{ rows: Row[] }> {
    return this.transaction((client) => client.query<Row>(text, values));
  }

  /**
   * Runs `work` in one transaction, again from its start when it lost to another one. Rejects when nothing
   * was committed, or when the connection was lost while committing: then it may have been, and the same
   * entries committed again are duplicates (I5).
   */
  async transaction<T>(
    work: (client: Queryable) => Promise<T>,
    { mode = 'READ COMMITTED', lockMs }: TransactionOptions = {},
  ): Promise<T> {
    const limit = lockMs === undefined ? '' : `; SET LOCAL lock_timeout = ${lockMs}`;
    const begin = `BEGIN ISOLATION LEVEL ${mode}; ${this.#settings}${limit}`;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#once(work, begin);
      } catch (error) {
        if (tries === TRIES_MAX || !TRY_AGAIN.has(codeOf(error))) throw error;
        await this.#clock.sleep(RETRY_FIRST_MS * 2 ** tries);
      }
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#pool.end();
    return this.#closed;
  }

  async #once<T>(work: (client: Queryable) => Promise<T>, begin: string): Promise<T> {
    const client = await this.#pool.connect();
    try {
      await client.query(begin);
      const result = await work(client);
      await client.query('COMMIT');
      client.release();
      return result;
    } catch (error) {
      // Closing the connection rolls back whatever state it was in.
      client.release(true);
      throw error;
    }
  }
}

/** Whether another transaction held a lock for too long: the same may succeed later. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === LOCK_NOT_AVAILABLE;
}

/** Whether the server can never do what it was asked, however often. */
export function isFinal(error: unknown): boolean {
  const code = codeOf(error);
  return typeof code === 'string' && NEVER.test(code);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null;
}

/** Counters, offsets and seqs stay far below 2^53: numbers, where the driver would give text. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format);
}
