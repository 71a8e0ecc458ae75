/**
 * The ledger on NATS JetStream, for any number of router replicas without a leader of their own (decision
 * 12).
 *
 * A commit is one message in one log, accepted only directly after the last message that its writer knows
 * (log.ts): all of a commit is in the ledger, or nothing of it (I5). The records are stored under a subject
 * per (gateway, epoch, stream) and count only when a commit names them. The state built from the log is kept
 * in snapshots (fold.ts), read on demand.
 */
import type { Clock } from '../../../shared/clock.ts';
import { errorText, type Logger } from '../../../shared/log.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';
import { refusedFor } from '../../../shared/start-refused.ts';
import { within } from '../../../shared/within.ts';
import { logCommit } from '../commit-log-lines.ts';
import type { Ledger } from '../ledger.ts';
import type { LedgerMaintenance } from '../maintenance.ts';
import type { CompletenessPage, PageQuery, StreamVisitor } from '../paging.ts';
import type { LedgerMemory } from '../remembered.ts';
import type { LedgerRole } from '../role.ts';
import { type ConflictPolicyOf, KEEP_FIRST } from '../rules/conflict-policy.ts';
import { completenessOf } from '../rules/rules.ts';
import type { OnDropped } from '../rules/shares.ts';
import type {
  CommitResult,
  DeadLetter,
  FeedPosition,
  GatewayContact,
  LedgerConflict,
  LedgerEntry,
  LedgerRecord,
  LedgerVerification,
  StreamCompleteness,
} from '../types.ts';
import { REPETITIONS_MAX } from '../whereabouts.ts';
import type { JetStreamOptions } from './access.ts';
import { ArrivalStore } from './arrivals.ts';
import { type Plan, Planner, type Stored } from './commit.ts';
import { compareAll } from './compare.ts';
import { ConflictStore } from './conflicts.ts';
import { Connection } from './connection.ts';
import { DeadLetterStore } from './dead-letters.ts';
import { DeviceEraser } from './erasure.ts';
import { ErasureStore } from './erasure-log.ts';
import type { EvidenceLimits } from './evidence.ts';
import { boundedStream, evidenceOf } from './evidence-streams.ts';
import { FeedStore } from './feeds.ts';
import { HeldVersions } from './held.ts';
import { Listing } from './listing.ts';
import { Blobs } from './log/blobs.ts';
import { CommitLog } from './log/log.ts';
import { Snapshots } from './log/snapshots.ts';
import { type StateLimits, States } from './log/states.ts';
import { JetStreamMaintenance } from './maintenance.ts';
import { Names } from './names.ts';
import { LedgerParts } from './parts.ts';
import { OffsetReader } from './reader.ts';
import { RepeatedVersions } from './repeated.ts';
import { Retention } from './retention.ts';
import { RepeatStore } from './whereabouts.ts';

export interface JetStreamLedgerOptions extends JetStreamOptions {
  clock: Clock;
  log: Logger;
  limits?: Partial<JetStreamLedgerLimits>;
  /** Default: `router`. */
  role?: LedgerRole;
  /** Which ledger this router had. */
  memory?: LedgerMemory | undefined;
  /** Default: keep-first everywhere. */
  conflictPolicyOf?: ConflictPolicyOf;
  onDropped?: OnDropped | undefined;
}

export interface JetStreamLedgerLimits extends StateLimits {
  /** Approximate payload bytes of cached records. */
  recordBytesCached: number;
  conflicts: EvidenceLimits;
  deadLetters: EvidenceLimits & { ageMsMax: number };
  repeats: EvidenceLimits;
}

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
/** Longest wait of a closing ledger for its last note. */
const CLOSE_MS_MAX = 2000;
const LIMITS: JetStreamLedgerLimits = {
  itemsCached: 65_536,
  snapshotCommits: 1000,
  snapshotChanges: 50_000,
  recordBytesCached: 64 * MIB,
  conflicts: { messagesMax: 100_000, bytesMax: 64 * MIB },
  deadLetters: { messagesMax: 10_000, bytesMax: 64 * MIB, ageMsMax: 30 * DAY_MS },
  repeats: { messagesMax: REPETITIONS_MAX, bytesMax: 64 * MIB },
};

/**
 * Opens or creates the ledger. Rejects when no server can be reached, or when streams of that name belong to
 * another program.
 */
export async function openJetStreamLedger(options: JetStreamLedgerOptions): Promise<Ledger> {
  const log = new SparseLog(options);
  const connection = await Connection.open(options, options.clock, log);
  try {
    const limits = { ...LIMITS, ...options.limits };
    const names = new Names(options.name);
    const parts = new LedgerParts(connection, names, options.clock, options.memory);
    await parts.open(options.role ?? 'router', options.replicas);
    const ledger = new JetStreamLedger(connection, parts, names, limits, options, log);
    await ledger.catchUpFromCheckpoint();
    return ledger;
  } catch (error) {
    await connection.close();
    throw refusedFor(`no ledger ${options.name} in JetStream`, error);
  }
}

/** `headgate ledger accept`: a line for each part that is taken as it is. */
export async function acceptStreams(
  options: JetStreamOptions,
  { clock, log }: { clock: Clock; log: SparseLog },
): Promise<string[]> {
  const connection = await Connection.open(options, clock, log);
  try {
    return await new LedgerParts(connection, new Names(options.name), clock).accept(options.replicas);
  } catch (error) {
    throw refusedFor(`no ledger ${options.name} in JetStream`, error);
  } finally {
    await connection.close();
  }
}

class JetStreamLedger implements Ledger {
  readonly maintenance: LedgerMaintenance;
  readonly isMultiRouter = true;
  readonly #connection: Connection;
  readonly #parts: LedgerParts;
  readonly #names: Names;
  readonly #clock: Clock;
  readonly #log: SparseLog;
  readonly #states: States;
  readonly #listing: Listing;
  readonly #commits: CommitLog;
  readonly #planner: Planner;
  readonly #reader: OffsetReader;
  readonly #conflicts: ConflictStore;
  readonly #deadLetters: DeadLetterStore;
  readonly #repeats: RepeatStore;
  readonly #arrivals: ArrivalStore;
  readonly #feeds: FeedStore;
  /** Serialises the commits of this replica. */
  #committing: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | null = null;

  constructor(
    connection: Connection,
    parts: LedgerParts,
    names: Names,
    limits: JetStreamLedgerLimits,
    { clock, replicas, conflictPolicyOf = KEEP_FIRST, onDropped }: JetStreamLedgerOptions,
    log: SparseLog,
  ) {
    const blobs = new Blobs(connection);
    const snapshots = new Snapshots(connection, blobs, names);
    const catchUp = (): Promise<void> => this.#commits.catchUp();
    const states = new States({ snapshots, names, limits, log, catchUp });
    const arrivals = new ArrivalStore(blobs, names, limits.recordBytesCached);
    const held = new HeldVersions(states, arrivals, names);
    this.#connection = connection;
    this.#parts = parts;
    this.#feeds = new FeedStore(connection, names);
    this.#names = names;
    this.#clock = clock;
    this.#log = log;
    this.#states = states;
    this.#listing = new Listing(states, names);
    this.#arrivals = arrivals;
    this.#commits = new CommitLog({ connection, blobs, names }, (commit, at) => states.note(commit, at));
    const stored = { connection, blobs, names };
    const evidence = { connection, names, replicas, limits, log, onDropped, ledgerId: () => parts.id };
    const conflicts = evidenceOf(evidence, 'conflicts');
    this.#conflicts = new ConflictStore({ ...stored, states, held, ...conflicts });
    const letters = evidenceOf(evidence, 'deadLetters');
    this.#deadLetters = new DeadLetterStore({ ...stored, ...letters, ageMsMax: limits.deadLetters.ageMsMax });
    this.#repeats = new RepeatStore(connection, names, boundedStream(evidence, 'repeats', limits.repeats));
    const repeated = new RepeatedVersions(held, this.#conflicts, conflictPolicyOf);
    this.#planner = new Planner({ states, arrivals, repeated, conflicts: this.#conflicts, names });
    this.#reader = new OffsetReader({ log: this.#commits, states, arrivals, held, names, catchUp });
    const removalParts = {
      log: this.#commits,
      states,
      arrivals,
      conflicts: this.#conflicts,
      held,
      catchUp,
      inTurn: <T>(work: () => Promise<T>) => this.#inTurn(work),
    };
    this.maintenance = new JetStreamMaintenance({
      deadLetters: this.#deadLetters,
      conflicts: this.#conflicts,
      held,
      repeats: this.#repeats,
      states,
      retention: new Retention(removalParts),
      eraser: new DeviceEraser(removalParts, names),
      erasures: new ErasureStore(connection, names),
      clock,
      catchUp: () => this.#catchUp(),
    });
  }

  async catchUpFromCheckpoint(): Promise<void> {
    await this.#commits.open(await this.#states.open());
    this.#states.followed();
  }

  commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]> {
    if (entries.length === 0) return Promise.resolve([]);
    return this.#inTurn(() => this.#commit(entries));
  }

  async read(after: number, limit: number): Promise<LedgerRecord[]> {
    await this.#catchUp();
    return this.#reader.read(after, limit);
  }

  async completeness(gateway?: string): Promise<StreamCompleteness[]> {
    await this.#catchUp();
    const items = await this.#states.streams.all(this.#names.streams(gateway), this.#states.head);
    return items
      .map(({ item }) => item)
      .sort((a, b) => (a.gateway === b.gateway ? a.made - b.made : a.gateway < b.gateway ? -1 : 1))
      .map((item) => completenessOf(item, item.state));
  }

  async completenessPage(query: PageQuery): Promise<CompletenessPage> {
    await this.#catchUp();
    return this.#listing.page(query);
  }

  async survey<V extends StreamVisitor>(begin: () => V): Promise<V> {
    await this.#catchUp();
    return this.#listing.survey(begin);
  }

  async contacts(from: string, limit: number): Promise<GatewayContact[]> {
    await this.#catchUp();
    return this.#listing.contacts(from, limit);
  }

  deadLetter(letter: DeadLetter): Promise<void> {
    return this.#deadLetters.add(letter);
  }

  deadLetters(limit: number): Promise<DeadLetter[]> {
    return this.#deadLetters.newest(limit);
  }

  async conflicts(limit: number): Promise<LedgerConflict[]> {
    await this.#catchUp();
    return this.#conflicts.newest(limit);
  }

  async totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }> {
    await this.#catchUp();
    const { offset, duplicates, conflicts } = this.#commits.head;
    return { records: offset, duplicates, conflicts, deadLetters: await this.#deadLetters.count() };
  }

  async verify(): Promise<LedgerVerification> {
    await this.#catchUp();
    return compareAll({
      states: this.#states,
      log: this.#commits,
      arrivals: this.#arrivals,
      names: this.#names,
      catchUp: () => this.#commits.catchUp(),
    });
  }

  loadFeedPosition(feed: string): Promise<FeedPosition> {
    return this.#feeds.load(feed);
  }

  resetFeedPosition(feed: string, offset: number): Promise<void> {
    return this.#feeds.reset(feed, offset);
  }

  claimFeedPosition(feed: string, holder: string, forMs: number): Promise<FeedPosition | null> {
    return this.#feeds.claim(feed, holder, forMs);
  }

  releaseFeedPosition(feed: string, holder: string): Promise<void> {
    return this.#feeds.release(feed, holder);
  }

  moveFeedPosition(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean> {
    return this.#feeds.move(feed, from, to);
  }

  loadCheckpoint(source: string, key: string): Promise<string | null> {
    return this.#value(this.#names.position(source, key));
  }

  async replaceCheckpoint(source: string, key: string, from: string | null, to: string): Promise<boolean> {
    const { cursors } = this.#names;
    for (;;) {
      // After the last message of all (Connection.publishAfter): the content is read after its sequence is
      // known.
      const { last } = await this.#connection.extent(cursors);
      if ((await this.loadCheckpoint(source, key)) !== from) return false;
      const subject = this.#names.position(source, key);
      if ((await this.#connection.publishAfter(cursors, subject, last, Buffer.from(to))) !== null)
        return true;
    }
  }

  async ping(): Promise<void> {
    await this.#parts.check(this.#commits.head);
    await this.#connection.publish(this.#names.ping, Buffer.from(String(this.#clock.wallMs())));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#committing;
    await this.#states.idle();
    const last = this.#parts.close(this.#commits.head);
    await within(this.#clock, CLOSE_MS_MAX, last, () => undefined).catch((error: unknown) => {
      this.#log.warn('ledger.not_noted', { error: errorText(error) });
    });
    await this.#connection.close();
  }

  async #value(subject: string): Promise<string | null> {
    const message = await this.#connection.getLatest(this.#names.cursors, subject);
    return message === null ? null : Buffer.from(message.data).toString();
  }

  async #catchUp(): Promise<void> {
    await this.#parts.checkNowAndThen(this.#commits.head);
    await this.#commits.catchUp();
    this.#states.followed();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#committing.then(work);
    this.#committing = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Retries until the commit is in the log. A commit that loses continues from the winning commit of another
   * replica, so one of them always succeeds.
   */
  async #commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]> {
    const stored: Stored = new Map();
    await this.#parts.checkNowAndThen(this.#commits.head);
    for (;;) {
      const { head } = this.#commits;
      const plan = await this.#planner.plan(entries, head, stored);
      if (await this.#commits.append(head, plan.commit)) {
        this.#states.committed();
        await this.#remember(plan);
        for (const one of plan.absorbed) logCommit(this.#log, { ...one, settled: one });
        return plan.results;
      }
      await this.#catchUp();
      if (this.#commits.head === head)
        throw new Error('the log of commits refuses a commit behind its last one');
    }
  }

  /** The commit stands whether or not this succeeds. */
  async #remember({ absorbed }: Plan): Promise<void> {
    try {
      await this.#repeats.add(absorbed);
    } catch (error) {
      this.#log.warn('ledger.repeats_lost', { error: errorText(error) });
    }
  }
}
