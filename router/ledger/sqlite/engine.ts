/**
 * The embedded ledger engine: one SQLite file, WAL, `synchronous=FULL`.
 *
 * One `commit` is one transaction: records, seen sets and counters are stored together or not at all (I5),
 * and are fsynced when it returns. A new record costs one insert and no query; only repeated ids are read and
 * compared.
 *
 * One router owns the file (router-lock.ts), and commands may write beside it: BEGIN IMMEDIATE serialises the
 * writes, and a changed `PRAGMA data_version` tells a connection of a foreign write, so that it drops its
 * cached sets.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Statement, Transaction } from 'better-sqlite3';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/error-text.ts';
import { SparseLog, type WarningLog } from '../../../shared/sparse-log.ts';
import type { FileKey } from '../../../shared/sqlite/open.ts';
import { logCommit } from '../commit-log-lines.ts';
import type { Ledger } from '../ledger.ts';
import type { LedgerMaintenance } from '../maintenance.ts';
import {
  type CompletenessPage,
  type PageQuery,
  pageOf,
  type StreamVisitor,
  surveyByPages,
} from '../paging.ts';
import type { LedgerRole } from '../role.ts';
import { type ConflictPolicyOf, KEEP_FIRST } from '../rules/conflict-policy.ts';
import { committed, nothingCommitted } from '../rules/outcome.ts';
import { stateAfter } from '../rules/repeated.ts';
import { absorb, completenessOf, isContactOnly } from '../rules/rules.ts';
import type { OnDropped } from '../rules/shares.ts';
import {
  type CommitResult,
  type DeadLetter,
  EntryRefused,
  type FeedPosition,
  type GatewayContact,
  type LedgerConflict,
  type LedgerEntry,
  type LedgerRecord,
  type LedgerVerification,
  type StreamCompleteness,
} from '../types.ts';
import { Verification } from '../verify.ts';
import { repetitionsOf } from '../whereabouts.ts';
import { BootClockTable } from './boot-clocks.ts';
import { ConflictTable } from './conflicts.ts';
import { DeadLetterTable } from './dead-letters.ts';
import { ErasureTable } from './erasure.ts';
import { FeedTable } from './feeds.ts';
import { LedgerFile } from './ledger-file.ts';
import { LIMITS, type SqliteLedgerLimits } from './limits.ts';
import { SqliteMaintenance } from './maintenance.ts';
import { notedOf, noteMarks } from './marks.ts';
import { RecordTable } from './records.ts';
import { RepeatedTables } from './repeated.ts';
import { RetentionTables } from './retention.ts';
import { expectKnown, expectThere, type LedgerNote, lockFile, RouterLock } from './router-lock.ts';
import { isTooBig, openLedgerFile, prepareLedger, type Sqlite } from './schema.ts';
import { ShareTables } from './shares.ts';
import { StreamTable } from './streams.ts';
import { WhereaboutsTable } from './whereabouts.ts';
import { LedgerTables } from './whole.ts';

export interface SqliteLedgerOptions {
  file: string;
  /** Default: null, the file is in clear. */
  key?: FileKey | null;
  clock: Clock;
  log: WarningLog;
  limits?: Partial<SqliteLedgerLimits>;
  /** Default: no role, for tests. The file is created, as by a router, and no lock is taken, as by a tool. */
  role?: LedgerRole;
  /** Default: keep-first, for every stream. */
  conflictPolicyOf?: ConflictPolicyOf;
  onDropped?: OnDropped;
}

/** The ledger's position is noted when the last note is older. */
const NOTE_EACH_MS = 60_000;

/**
 * Opens or creates the ledger in `file`; its folder must exist. Rejects when the file is not a ledger, is
 * damaged, has a newer schema, or cannot be made durable.
 */
export async function openSqliteLedger(options: SqliteLedgerOptions): Promise<Ledger> {
  const { file, key = null, role } = options;
  const lock = role === 'router' ? RouterLock.take(file) : null;
  try {
    const known = role === 'tool' ? expectThere(file) : null;
    prepareLedger(file, key, role !== 'tool');
    const db = openLedgerFile(file, role !== 'tool', key);
    try {
      const ledger = new SqliteLedger(db, options, lock);
      expectKnown(file, known, ledger.position());
      lock?.expect(ledger.position());
      ledger.note();
      return ledger;
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    lock?.release();
    throw error;
  }
}

class SqliteLedger implements Ledger {
  readonly maintenance: LedgerMaintenance;
  readonly isMultiRouter = false;
  readonly #db: Sqlite;
  readonly #lock: RouterLock | null;
  readonly #file: LedgerFile;
  readonly #tables: LedgerTables;
  readonly #id: Statement<[], string>;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #streams: StreamTable;
  readonly #records: RecordTable;
  readonly #shares: ShareTables;
  readonly #bootClocks: BootClockTable;
  readonly #conflicts: ConflictTable;
  readonly #deadLetters: DeadLetterTable;
  readonly #feeds: FeedTable;
  readonly #repeated: RepeatedTables;
  readonly #whereabouts: WhereaboutsTable;
  readonly #transaction: Transaction<(work: () => void) => void>;
  readonly #addDeadLetters: Transaction<(letters: readonly DeadLetter[]) => void>;
  readonly #verify: Transaction<() => LedgerVerification>;
  readonly #dataVersion: Statement<[], number>;
  readonly #counts: Statement<[], { duplicates: number; conflicts: number }>;
  readonly #saveContact: Statement<[string, string, number]>;
  readonly #contacts: Statement<[string, number], GatewayContact>;
  readonly #replacePosition: Statement<[{ source: string; key: string; from: string | null; to: string }]>;
  readonly #position: Statement<[string, string], string>;
  readonly #savePing: Statement<[number]>;
  #knownDataVersion: number | undefined;
  #notedMs = Number.NEGATIVE_INFINITY;
  /** Dead letters of the current turn of the event loop, and the transaction that writes them. */
  readonly #letters: DeadLetter[] = [];
  #lettersWritten: Promise<void> | null = null;

  constructor(db: Sqlite, options: SqliteLedgerOptions, lock: RouterLock | null) {
    const limits = { ...LIMITS, ...options.limits };
    this.#db = db;
    this.#lock = lock;
    this.#file = new LedgerFile(options.file, lock === null ? null : lockFile(options.file));
    this.#tables = new LedgerTables(db);
    this.#id = db.prepare<[], string>('SELECT ledger_id FROM identity').pluck();
    this.#clock = options.clock;
    this.#log = new SparseLog(options);
    this.#streams = new StreamTable(db, limits.streamsCached);
    this.#shares = new ShareTables(db);
    this.#records = new RecordTable(db, this.#shares);
    this.#bootClocks = new BootClockTable(db);
    const evidence = { log: this.#log, onDropped: options.onDropped };
    this.#conflicts = new ConflictTable(db, limits.conflicts, evidence);
    this.#deadLetters = new DeadLetterTable(db, limits.deadLetters, evidence);
    this.#feeds = new FeedTable(db);
    this.#whereabouts = new WhereaboutsTable(db, this.#streams, this.#conflicts);
    const { conflictPolicyOf = KEEP_FIRST } = options;
    this.#repeated = new RepeatedTables(this.#records, this.#conflicts, conflictPolicyOf);
    this.#transaction = db.transaction((work) => this.#onStreams(work));
    this.maintenance = new SqliteMaintenance({
      atomically: (work) => this.#atomically(work),
      deadLetters: this.#deadLetters,
      conflicts: this.#conflicts,
      shares: this.#shares,
      retention: new RetentionTables(db, this.#streams, this.#conflicts, this.#shares),
      erasures: new ErasureTable(db, this.#streams, this.#conflicts, this.#shares),
      whereabouts: this.#whereabouts,
      clock: options.clock,
    });
    this.#addDeadLetters = db.transaction((letters) => {
      for (const letter of letters) this.#deadLetters.add(letter);
    });
    this.#verify = db.transaction(() => this.#compareAll());
    this.#dataVersion = db.prepare<[], number>('PRAGMA data_version').pluck();
    this.#counts = db.prepare(
      'SELECT ifnull(sum(duplicates), 0) AS duplicates, ifnull(sum(conflicts), 0) AS conflicts FROM stream',
    );
    this.#saveContact = db.prepare(
      'INSERT OR REPLACE INTO contact (gateway, source, last_wall_ms) VALUES (?, ?, ?)',
    );
    this.#contacts = db.prepare(
      `SELECT gateway, source, last_wall_ms AS lastWallMs FROM contact WHERE gateway IN
         (SELECT DISTINCT gateway FROM contact WHERE gateway >= ? AND gateway <> '' ORDER BY gateway LIMIT ?)
       ORDER BY gateway`,
    );
    this.#replacePosition = db.prepare(
      `INSERT INTO checkpoint (source, partition, position) SELECT :source, :key, :to
       WHERE :from IS (SELECT position FROM checkpoint WHERE source = :source AND partition = :key)
       ON CONFLICT DO UPDATE SET position = excluded.position`,
    );
    this.#position = db
      .prepare<[string, string], string>('SELECT position FROM checkpoint WHERE source = ? AND partition = ?')
      .pluck();
    this.#savePing = db.prepare('INSERT OR REPLACE INTO ping (id, wall_ms) VALUES (1, ?)');
  }

  async commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]> {
    if (entries.length === 0) return [];
    const results = this.#atomically(() => this.#absorbAll(entries));
    this.#file.check();
    return results;
  }

  async read(after: number, limit: number): Promise<LedgerRecord[]> {
    this.#tables.check();
    return this.#records.read(after, limit);
  }

  async completeness(gateway?: string): Promise<StreamCompleteness[]> {
    return Array.from(this.#streams.list(gateway), ({ key, state }) => completenessOf(key, state));
  }

  async completenessPage(query: PageQuery): Promise<CompletenessPage> {
    const streams = this.#streams.page(query);
    return pageOf(
      streams.map(({ key, state }) => completenessOf(key, state)),
      query.limit,
    );
  }

  /**
   * Yields the thread between two pages: SQLite answers synchronously, and would block the thread to the end.
   */
  survey<V extends StreamVisitor>(begin: () => V): Promise<V> {
    return surveyByPages(begin(), (query) => nextTurn().then(() => this.completenessPage(query)));
  }

  async contacts(from: string, limit: number): Promise<GatewayContact[]> {
    return this.#contacts.all(from, limit);
  }

  /** The letters of one turn are one transaction: a flood of bad messages shares syncs, like valid ones. */
  async deadLetter(letter: DeadLetter): Promise<void> {
    this.#letters.push(letter);
    this.#lettersWritten ??= nextTurn().then(() => {
      this.#lettersWritten = null;
      this.#addDeadLetters.immediate(this.#letters.splice(0));
    });
    return this.#lettersWritten;
  }

  async deadLetters(limit: number): Promise<DeadLetter[]> {
    return this.#deadLetters.newest(limit);
  }

  async conflicts(limit: number): Promise<LedgerConflict[]> {
    return this.#conflicts.newest(limit);
  }

  async totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }> {
    const { duplicates, conflicts } = this.#counts.get() ?? { duplicates: 0, conflicts: 0 };
    return {
      records: this.#records.lastOffset(),
      duplicates,
      conflicts,
      deadLetters: this.#deadLetters.count(),
    };
  }

  async verify(): Promise<LedgerVerification> {
    return this.#verify.deferred();
  }

  async loadFeedPosition(feed: string): Promise<FeedPosition> {
    return this.#feeds.position(feed);
  }

  async resetFeedPosition(feed: string, offset: number): Promise<void> {
    this.#feeds.set(feed, offset);
  }

  async claimFeedPosition(feed: string): Promise<FeedPosition> {
    this.#tables.check();
    return this.#feeds.position(feed);
  }

  async releaseFeedPosition(): Promise<void> {
    await Promise.resolve();
  }

  async moveFeedPosition(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean> {
    return this.#feeds.move(feed, from, to);
  }

  async loadCheckpoint(source: string, key: string): Promise<string | null> {
    return this.#position.get(source, key) ?? null;
  }

  async replaceCheckpoint(source: string, key: string, from: string | null, to: string): Promise<boolean> {
    return this.#replacePosition.run({ source, key, from, to }).changes === 1;
  }

  async ping(): Promise<void> {
    this.#file.check();
    this.#tables.check();
    this.#savePing.run(this.#clock.wallMs());
    if (this.#clock.monoMs() - this.#notedMs < NOTE_EACH_MS) return;
    this.note();
  }

  /** The ledger's id and its position. */
  position(): LedgerNote {
    return { id: this.#id.get() ?? '', offset: this.#records.lastOffset(), noted: notedOf(this.#db) };
  }

  /** A router notes how far the ledger has come, in the ledger and beside it. Never throws. */
  note(): void {
    if (this.#lock === null) return;
    this.#notedMs = this.#clock.monoMs();
    // Beside it later: a crash in between leaves a ledger that is newer than the note.
    try {
      noteMarks(this.#db);
      this.#lock.note(this.position());
    } catch (error) {
      this.#log.warn('ledger.not_noted', { error: errorText(error) });
    }
  }

  async close(): Promise<void> {
    if (this.#db.open) this.note();
    this.#db.close();
    this.#lock?.release();
  }

  #compareAll(): LedgerVerification {
    const verification = new Verification();
    for (const { id, key, state } of this.#streams.list(undefined)) {
      verification.compare(key, state.seen, this.#records.runs(id), state.withdrawn);
    }
    verification.shares(this.#shares.differing());
    return verification.result();
  }

  /** Runs `work` in one transaction, including its changes of streams. */
  #atomically<T>(work: () => T): T {
    const done: { value: T }[] = [];
    try {
      this.#transaction.immediate(() => void done.push({ value: work() }));
      this.#streams.committed();
    } catch (error) {
      this.#streams.rolledBack();
      if (isTooBig(error)) throw new EntryRefused('refused', errorText(error));
      throw error;
    }
    const [only] = done;
    if (!only) throw new Error('the transaction did not run');
    return only.value;
  }

  #onStreams(work: () => void): void {
    const dataVersion = this.#dataVersion.get();
    if (dataVersion !== this.#knownDataVersion) this.#streams.forgetAll();
    this.#knownDataVersion = dataVersion;
    this.#tables.check();
    work();
    this.#streams.write();
  }

  /** The body of one commit's transaction. */
  #absorbAll(entries: readonly LedgerEntry[]): CommitResult[] {
    let offset = this.#records.lastOffset();
    const contacts = new Map<string, LedgerEntry>();
    const results: CommitResult[] = [];
    for (const entry of entries) {
      contacts.set(JSON.stringify([entry.envelope.gateway, entry.source]), entry);
      if (isContactOnly(entry.envelope)) {
        results.push(nothingCommitted());
        continue;
      }
      const stored = this.#streams.load(entry.envelope);
      const absorption = absorb(stored.state, entry.envelope, entry);
      offset = this.#records.append(stored.id, entry, absorption.fresh, offset);
      const settled = this.#repeated.settle(entry, stored, absorption);
      offset = this.#records.append(stored.id, entry, settled.winners, offset);
      this.#streams.change(entry.envelope, { id: stored.id, state: stateAfter(absorption.state, settled) });
      const result = committed(absorption, settled);
      logCommit(this.#log, { entry, absorption, settled, result });
      this.#whereabouts.add(stored.id, repetitionsOf(entry, result));
      results.push(result);
    }
    this.#records.saveLastOffset(offset);
    this.#bootClocks.learn(entries);
    for (const { envelope, source, receivedWallMs } of contacts.values()) {
      this.#saveContact.run(envelope.gateway, source, receivedWallMs);
    }
    return results;
  }
}
