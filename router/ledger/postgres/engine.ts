/**
 * The ledger on PostgreSQL, for any number of router replicas without a leader: a commit locks the rows that
 * it decides by.
 *
 * One `commit` is one transaction: records, seen sets and counters are stored together or not at all (I5). No
 * stream's state is cached between commits, because another replica may have changed it.
 */
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';
import { refusedFor } from '../../../shared/start-refused.ts';
import { within } from '../../../shared/within.ts';
import { logCommit } from '../commit-log-lines.ts';
import type { Ledger } from '../ledger.ts';
import {
  type CompletenessPage,
  type PageQuery,
  pageOf,
  type StreamVisitor,
  surveyByPages,
} from '../paging.ts';
import type { LedgerMemory } from '../remembered.ts';
import type { LedgerRole } from '../role.ts';
import { type ConflictPolicyOf, KEEP_FIRST } from '../rules/conflict-policy.ts';
import { completenessOf } from '../rules/rules.ts';
import type { EvidenceLimits, OnDropped } from '../rules/shares.ts';
import {
  type CommitResult,
  type DeadLetter,
  EntriesBlocked,
  EntryRefused,
  type FeedPosition,
  type GatewayContact,
  type LedgerConflict,
  type LedgerEntry,
  LedgerLost,
  type LedgerRecord,
  type LedgerVerification,
  type StreamCompleteness,
} from '../types.ts';
import { runsQuery, Verification } from '../verify.ts';
import { blockedEntries } from './blocked.ts';
import { type Committed, commitEntries } from './commit.ts';
import { Database, isFinal, isLockTimeout, type PostgresOptions } from './connection.ts';
import { insertDeadLetter, newestDeadLetters } from './dead-letters.ts';
import { newestConflicts } from './evidence.ts';
import { EvidenceBound } from './evidence-bound.ts';
import {
  claimFeedPosition,
  loadFeedPosition,
  moveFeedPosition,
  releaseFeedPosition,
  resetFeedPosition,
} from './feeds.ts';
import { checkIdentity, openIdentity } from './identity.ts';
import { PostgresMaintenance } from './maintenance.ts';
import { note } from './marks.ts';
import { readRecords } from './records.ts';
import { dayOf, expectSchema, hasSchema, makePartitions, migrate } from './schema.ts';
import { differingShares } from './shares.ts';
import { listPage, listStreams } from './streams.ts';
import { trimRepetitions } from './whereabouts.ts';

export interface PostgresLedgerOptions extends PostgresOptions {
  clock: Clock;
  log: Logger;
  limits?: Partial<{ conflicts: EvidenceLimits; deadLetters: EvidenceLimits }>;
  /** Default: `router`. */
  role?: LedgerRole;
  /** Which ledger this router had. */
  memory?: LedgerMemory | undefined;
  /** Default: keep-first, for every stream. */
  conflictPolicyOf?: ConflictPolicyOf;
  onDropped?: OnDropped | undefined;
}

const DAY_MS = 86_400_000;
/** The ledger's position is noted when the last note is older. */
const NOTE_EACH_MS = 60_000;
/** Longest wait of a closing ledger for its last note. */
const CLOSE_MS_MAX = 2000;
/** A commit's lock timeout, as a part of the statement timeout. */
const LOCK_SHARE = 0.25;
/** Each replica trims the repetitions after this many of its own. */
const REPETITIONS_CHECKED = 5000;
const MIB = 1024 * 1024;
const CONFLICTS: EvidenceLimits = { rowsMax: 100_000, bytesMax: 64 * MIB };
const DEAD_LETTERS: EvidenceLimits = { rowsMax: 100_000, bytesMax: 64 * MIB };

/**
 * Opens or creates the ledger. Rejects when the server cannot be reached, is too old, or has a newer schema.
 */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<Ledger> {
  const log = new SparseLog(options);
  const db = new Database(options, options.clock, log);
  try {
    const { role, schema, memory } = options;
    if (memory?.isKnown && !(await hasSchema(db, schema))) memory.expect(null);
    if (role === 'tool') await expectSchema(db, schema);
    else await migrate(db, schema);
    const { id, offset } = await openIdentity(db, schema);
    memory?.expect({ id, position: offset });
    const ledger = new PostgresLedger(db, id, options, log);
    // A part that is put back later is older than this note, whatever its backup.
    if (role !== 'tool') await ledger.note(offset);
    return ledger;
  } catch (error) {
    await db.close();
    throw refusedFor(`no ledger in PostgreSQL, schema ${options.schema}`, error);
  }
}

class PostgresLedger implements Ledger {
  readonly maintenance: PostgresMaintenance;
  readonly isMultiRouter = true;
  readonly #db: Database;
  readonly #id: string;
  readonly #memory: LedgerMemory | undefined;
  readonly #isRouter: boolean;
  readonly #schema: string;
  readonly #clock: Clock;
  readonly #lockMs: number;
  readonly #log: SparseLog;
  readonly #conflicts: EvidenceBound;
  readonly #deadLetters: EvidenceBound;
  readonly #conflictPolicyOf: ConflictPolicyOf;
  #repetitions = 0;
  #notedMs = Number.NEGATIVE_INFINITY;
  #closed: Promise<void> | null = null;
  /** As of the last check; feeds deliver nothing out of parts that do not belong together. */
  #lost: LedgerLost | null = null;
  /** Days whose partitions this process has made or found. */
  readonly #daysMade = new Set<number>();

  constructor(db: Database, id: string, options: PostgresLedgerOptions, log: SparseLog) {
    const { schema, clock, timeoutMs, limits = {}, conflictPolicyOf = KEEP_FIRST } = options;
    this.#lockMs = Math.ceil(timeoutMs * LOCK_SHARE);
    this.#conflictPolicyOf = conflictPolicyOf;
    this.#db = db;
    this.#id = id;
    this.#memory = options.memory;
    this.#isRouter = options.role !== 'tool';
    this.#schema = schema;
    this.#clock = clock;
    this.#log = log;
    const evidence = { log, onDropped: options.onDropped };
    this.#conflicts = new EvidenceBound('conflict', limits.conflicts ?? CONFLICTS, evidence);
    this.#deadLetters = new EvidenceBound('dead_letter', limits.deadLetters ?? DEAD_LETTERS, evidence);
    const bounds = [this.#conflicts, this.#deadLetters];
    this.maintenance = new PostgresMaintenance({ db, schema, clock, bounds });
  }

  async commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]> {
    if (entries.length === 0) return [];
    const day = await this.#day();
    const committed = await this.#committed(entries, day);
    for (const one of committed.absorbed) logCommit(this.#log, one);
    const { rows, bytes } = committed.aside;
    await this.#kept(this.#conflicts.added(this.#db, rows, bytes, this.#clock.wallMs()));
    this.#repetitions += committed.repetitions;
    if (this.#repetitions >= REPETITIONS_CHECKED) {
      this.#repetitions = 0;
      await this.#kept(trimRepetitions(this.#db));
    }
    return committed.results;
  }

  async #committed(entries: readonly LedgerEntry[], day: number): Promise<Committed> {
    try {
      return await this.#db.transaction(
        (client) =>
          commitEntries(client, entries, { id: this.#id, day, conflictPolicyOf: this.#conflictPolicyOf }),
        { lockMs: this.#lockMs },
      );
    } catch (error) {
      if (isLockTimeout(error)) throw await this.#blocked(entries, error);
      throw isFinal(error) ? new EntryRefused('refused', errorText(error)) : error;
    }
  }

  /** The error for a commit that waited for a lock in vain. */
  async #blocked(entries: readonly LedgerEntry[], error: unknown): Promise<unknown> {
    const blocked = await this.#db.transaction((client) => blockedEntries(client, entries), {
      lockMs: this.#lockMs,
    });
    return blocked.size === 0 ? error : new EntriesBlocked(blocked, error);
  }

  async read(after: number, limit: number): Promise<LedgerRecord[]> {
    if (this.#lost !== null) throw this.#lost;
    return readRecords(this.#db, after, limit);
  }

  async completeness(gateway?: string): Promise<StreamCompleteness[]> {
    const streams = await listStreams(this.#db, gateway);
    return streams.map(({ key, state }) => completenessOf(key, state));
  }

  async completenessPage(query: PageQuery): Promise<CompletenessPage> {
    const streams = await listPage(this.#db, query);
    return pageOf(
      streams.map(({ key, state }) => completenessOf(key, state)),
      query.limit,
    );
  }

  survey<V extends StreamVisitor>(begin: () => V): Promise<V> {
    return surveyByPages(begin(), (query) => this.completenessPage(query));
  }

  async contacts(from: string, limit: number): Promise<GatewayContact[]> {
    const { rows } = await this.#db.query<GatewayContact>(
      `SELECT gateway, source, last_wall_ms AS "lastWallMs" FROM contact WHERE gateway IN
         (SELECT DISTINCT gateway FROM contact WHERE gateway >= $1 AND gateway <> '' ORDER BY gateway LIMIT $2)
       ORDER BY gateway`,
      [from, limit],
    );
    return rows;
  }

  async deadLetter(letter: DeadLetter): Promise<void> {
    await insertDeadLetter(this.#db, letter);
    await this.#kept(this.#deadLetters.added(this.#db, 1, letter.bytes.byteLength, letter.receivedWallMs));
  }

  deadLetters(limit: number): Promise<DeadLetter[]> {
    return newestDeadLetters(this.#db, limit);
  }

  conflicts(limit: number): Promise<LedgerConflict[]> {
    return newestConflicts(this.#db, limit);
  }

  async totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }> {
    const { rows } = await this.#db.query<{
      records: number;
      duplicates: number;
      conflicts: number;
      deadLetters: number;
    }>(
      `SELECT head.last_offset AS records, head.dead_letters AS "deadLetters", s.duplicates, s.conflicts
       FROM head, (SELECT coalesce(sum(duplicates), 0)::bigint AS duplicates,
         coalesce(sum(conflicts), 0)::bigint AS conflicts FROM stream) s`,
    );
    return rows[0] ?? { records: 0, duplicates: 0, conflicts: 0, deadLetters: 0 };
  }

  verify(): Promise<LedgerVerification> {
    return this.#db.transaction(
      async (client) => {
        const verification = new Verification();
        for (const { key, id, state } of await listStreams(client, undefined)) {
          const runs = await client.query<SeqRange>(runsQuery('gateway = $1 AND stream_id = $2'), [
            key.gateway,
            id,
          ]);
          verification.compare(key, state.seen, runs.rows, state.withdrawn);
        }
        verification.shares(await differingShares(client));
        return verification.result();
      },
      { mode: 'REPEATABLE READ' },
    );
  }

  loadFeedPosition(feed: string): Promise<FeedPosition> {
    return loadFeedPosition(this.#db, feed);
  }

  resetFeedPosition(feed: string, offset: number): Promise<void> {
    return resetFeedPosition(this.#db, feed, offset);
  }

  /** Also checks the parts: a feed does not go on from a position of another time. */
  async claimFeedPosition(feed: string, holder: string, forMs: number): Promise<FeedPosition | null> {
    await this.#check();
    return claimFeedPosition(this.#db, feed, holder, forMs);
  }

  releaseFeedPosition(feed: string, holder: string): Promise<void> {
    return releaseFeedPosition(this.#db, feed, holder);
  }

  moveFeedPosition(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean> {
    return moveFeedPosition(this.#db, feed, from, to);
  }

  async loadCheckpoint(source: string, key: string): Promise<string | null> {
    const { rows } = await this.#db.query<{ position: string }>(
      'SELECT position FROM checkpoint WHERE source = $1 AND partition = $2',
      [source, key],
    );
    return rows[0]?.position ?? null;
  }

  async replaceCheckpoint(source: string, key: string, from: string | null, to: string): Promise<boolean> {
    const { rows } =
      from === null
        ? await this.#db.query(
            'INSERT INTO checkpoint (source, partition, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING source',
            [source, key, to],
          )
        : await this.#db.query(
            'UPDATE checkpoint SET position = $4 WHERE source = $1 AND partition = $2 AND position = $3 RETURNING source',
            [source, key, from, to],
          );
    return rows.length === 1;
  }

  async ping(): Promise<void> {
    const offset = await this.#check();
    if (this.#isRouter && this.#clock.monoMs() - this.#notedMs >= NOTE_EACH_MS) await this.note(offset);
    await this.#db.query(
      'INSERT INTO ping (id, wall_ms) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET wall_ms = excluded.wall_ms',
      [this.#clock.wallMs()],
    );
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#isRouter) {
      const last = this.#check().then((offset) => this.note(offset));
      await within(this.#clock, CLOSE_MS_MAX, last, () => undefined).catch(() => undefined);
    }
    await this.#db.close();
  }

  /** The last offset. Throws LedgerLost where the parts do not belong together. */
  async #check(): Promise<number> {
    try {
      const offset = await checkIdentity(this.#db, this.#schema, this.#id);
      this.#lost = null;
      return offset;
    } catch (error) {
      if (error instanceof LedgerLost) this.#lost = error;
      throw error;
    }
  }

  /** Notes how far the ledger has come. Never rejects: a failure costs the note alone. */
  async note(offset: number): Promise<void> {
    this.#notedMs = this.#clock.monoMs();
    try {
      await this.#db.transaction((client) => note(client), { lockMs: this.#lockMs });
      this.#memory?.note({ id: this.#id, position: offset });
    } catch (error) {
      this.#log.warn('ledger.not_noted', { error: errorText(error) });
    }
  }

  /** The day of a commit's records; its partitions and those of the next day exist. */
  async #day(): Promise<number> {
    const now = this.#clock.wallMs();
    for (const needed of [dayOf(now), dayOf(now + DAY_MS)]) {
      if (this.#daysMade.has(needed)) continue;
      await makePartitions(this.#db, this.#schema, needed);
      this.#daysMade.add(needed);
    }
    return dayOf(now);
  }

  /** Trims a table after the commit: a failure must not change the commit's result. */
  async #kept(pruning: Promise<void>): Promise<void> {
    try {
      await pruning;
    } catch (error) {
      this.#log.warn('ledger.prune_failed', { error: errorText(error) });
    }
  }
}
