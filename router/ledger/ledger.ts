/**
 * The contract of every ledger engine. The ledger holds each record id at most once, whatever the order,
 * redelivery, crash or replica (I5), and states for every (gateway, epoch, stream) what is complete, missing,
 * given up, duplicated and in conflict (I6).
 */
import type { CheckpointStore } from './checkpoints.ts';
import type { LedgerMaintenance } from './maintenance.ts';
import type { CompletenessPage, PageQuery, StreamVisitor } from './paging.ts';
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
} from './types.ts';

export interface Ledger extends CheckpointStore {
  readonly maintenance: LedgerMaintenance;
  /**
   * Commits all entries in one durable transaction; results in the order of the entries. Rejects when nothing
   * was committed: with EntryRefused when an entry can never be committed, with EntriesBlocked when some have
   * to wait.
   */
  commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]>;
  /**
   * Records with offset > `after`, ascending. Fewer than `limit` when they are large; empty only at the end.
   */
  read(after: number, limit: number): Promise<LedgerRecord[]>;
  /**
   * The streams of one gateway, in the order of their creation. Without a gateway, all streams at once in
   * memory: for tests and tools of small ledgers.
   */
  completeness(gateway?: string): Promise<StreamCompleteness[]>;
  /**
   * A page of all streams, or of one gateway's: those after a key, ascending by gateway, epoch, stream (I10).
   */
  completenessPage(query: PageQuery): Promise<CompletenessPage>;
  /**
   * Passes each stream once to the visitor of `begin`, with some streams in memory at a time (I10), each
   * current as of now or later. An engine that must start again calls `begin` again; returns the visitor that
   * saw all streams.
   */
  survey<V extends StreamVisitor>(begin: () => V): Promise<V>;
  /**
   * At most `limit` gateways, from the name `from` on ('' for the first), ascending, each with all its
   * sources.
   */
  contacts(from: string, limit: number): Promise<GatewayContact[]>;
  deadLetter(letter: DeadLetter): Promise<void>;
  /** The newest first, at most `limit`; old ones are dropped when the engine's bound is reached. */
  deadLetters(limit: number): Promise<DeadLetter[]>;
  /** The newest first, at most `limit`; old ones are dropped when the engine's bound is reached. */
  conflicts(limit: number): Promise<LedgerConflict[]>;
  /** Counts since the ledger was created, including items dropped or pruned later. */
  totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }>;
  /**
   * Recomputes every stream's seen set from its records and compares, at one moment, beside running commits.
   */
  verify(): Promise<LedgerVerification>;
  /** Offset 0 without progress for an unknown feed. */
  loadFeedPosition(feed: string): Promise<FeedPosition>;
  /**
   * Sets a feed's position from any previous one, without progress; the router that runs the feed continues
   * there.
   */
  resetFeedPosition(feed: string, offset: number): Promise<void>;
  /**
   * Gives or renews `holder`'s lease on `feed` for `forMs` and returns the feed's position; null while
   * another holder has the lease. An embedded ledger has one router and always grants it.
   */
  claimFeedPosition(feed: string, holder: string, forMs: number): Promise<FeedPosition | null>;
  /** Releases the lease early. No effect when `holder` does not have it. */
  releaseFeedPosition(feed: string, holder: string): Promise<void>;
  /** Moves a feed; returns false and moves nothing when the feed is not at `from`. */
  moveFeedPosition(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean>;
  /** Throws when the engine cannot commit; called for `/readyz`. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
