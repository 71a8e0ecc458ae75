/**
 * Connections to PostgreSQL: a bounded pool, time limits on everything, and transactions with retries.
 *
 * A pooler such as PgBouncer gives each transaction any free connection to the server, and drops or refuses
 * the settings of a client's connection. So the pool sets nothing at connect: each transaction begins by
 * setting its own schema, isolation and time limits, and a single statement is a transaction of its own.
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

/** Host and port of a database's URL; a socket's folder has no port. */
export function addressOf(url: string): { host: string; port: number } {
  const { hostname, port, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? hostname.replace(/^\[(.*)\]$/, '$1');
  return {
    host: decodeURIComponent(host) || 'localhost',
    port: Number(searchParams.get('port') ?? port) || 5432,
  };
}

/** The query interface of the engine's tables. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>;
}

/**
 * serialization_failure and deadlock_detected (PostgreSQL, appendix A): nothing was committed, and a retry
 * may succeed.
 */
const TRY_AGAIN: ReadonlySet<unknown> = new Set(['40001', '40P01']);
/** lock_not_available: another transaction held a needed lock for longer than the lock timeout. */
const LOCK_NOT_AVAILABLE = '55P03';
/**
 * Data exceptions, and exceeded program limits such as an index row that is too long: a retry fails again.
 */
const NEVER = /^(22|54)/;
const TRIES_MAX = 5;
const RETRY_FIRST_MS = 10;
/** After this time beyond the statement timeout, the client gives up on a server that does not answer. */
const ANSWER_GRACE_MS = 2000;
const INT8_OID = 20;

export interface TransactionOptions {
  mode?: 'READ COMMITTED' | 'REPEATABLE READ';
  /** Longest wait for another transaction's lock. Default: the time limit of the statement. */
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
    // A schema's name consists of letters, digits and `_` (options.ts).
    this.#settings = [
      `SET LOCAL search_path = "${schema}"`,
      `SET LOCAL statement_timeout = ${timeoutMs}`,
      // The locks of a replica that vanished from the network are released with its transaction.
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
    // The pool listens to idle connections only; an error on a connection in use would end the process.
    this.#pool.on('connect', (client) => client.on('error', lost));
  }

  query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<{ rows: Row[] }> {
    return this.transaction((client) => client.query<Row>(text, values));
  }

  /**
   * Runs `work` in one transaction, and again from its start after a conflict with another. Rejects when
   * nothing was committed, or when the connection was lost during the commit: then it may have succeeded, and
   * the same entries committed again are duplicates (I5).
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
      // Closing the connection rolls back a transaction in any state.
      client.release(true);
      throw error;
    }
  }
}

/** Whether another transaction held a lock for too long: a later try may succeed. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === LOCK_NOT_AVAILABLE;
}

/** Whether the server can never execute the request. */
export function isFinal(error: unknown): boolean {
  const code = codeOf(error);
  return typeof code === 'string' && NEVER.test(code);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null;
}

/** Counters, offsets and seqs stay far below 2^53: parsed as numbers, where the driver's default is text. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === INT8_OID ? Number : pg.types.getTypeParser(oid, format);
}
