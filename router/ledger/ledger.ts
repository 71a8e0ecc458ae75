/**
 * One contract for every ledger engine. The ledger holds each record id at most once, whatever the order,
 * redelivery, crash or replica (I5), and can say for every (gateway, epoch, stream) what is complete,
 * missing, given up, duplicated and in conflict (I6).
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
   * was committed: with EntryRefused when an entry can never be, with EntriesBlocked when some have to wait.
   */
  commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]>;
  /**
   * Records with offset > `after`, ascending. Fewer than `limit` when they are large; none only at the end.
   */
  read(after: number, limit: number): Promise<LedgerRecord[]>;
  /**
   * Of one gateway, in the order its streams were made. Without one of all, at once in memory: for tests and
   * tools of small ledgers.
   */
  completeness(gateway?: string): Promise<StreamCompleteness[]>;
  /**
   * A page of all streams, or of one gateway's: those behind a key, ascending by gateway, epoch, stream
   * (I10).
   */
  completenessPage(query: PageQuery): Promise<CompletenessPage>;
  /**
   * Shows each stream once to what `begin` makes, some of them in memory at a time (I10), each as of now or
   * later. An engine that has to start again begins a new one; the one that saw them all is returned.
   */
  survey<V extends StreamVisitor>(begin: () => V): Promise<V>;
  /**
   * Of at most `limit` gateways, from the name `from` on ('' for the first), ascending: each with all its
   * sources.
   */
  contacts(from: string, limit: number): Promise<GatewayContact[]>;
  deadLetter(letter: DeadLetter): Promise<void>;
  /** The newest first, at most `limit`; old ones are dropped when the engine's bound is reached. */
  deadLetters(limit: number): Promise<DeadLetter[]>;
  /** The newest first, at most `limit`; old ones are dropped when the engine's bound is reached. */
  conflicts(limit: number): Promise<LedgerConflict[]>;
  /** Counts since the ledger was made, also of what was dropped or pruned later. */
  totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }>;
  /**
   * Recomputes every stream's seen set from its records and compares, at one moment, beside running commits.
   */
  verify(): Promise<LedgerVerification>;
  /** Offset 0 without progress for a feed that has none. */
  loadFeedPosition(feed: string): Promise<FeedPosition>;
  /**
   * Sets a feed's position, wherever it was, without progress; the router that runs the feed goes on from
   * there.
   */
  resetFeedPosition(feed: string, offset: number): Promise<void>;
  /**
   * Gives `holder` the right to run `feed` for the next `forMs`, new or again, and says the feed's position;
   * null while another holder has it. Where only one router can use the ledger, it always has it.
   */
  claimFeedPosition(feed: string, holder: string, forMs: number): Promise<FeedPosition | null>;
  /** Gives the right back before its time. Nothing happens when `holder` does not have it. */
  releaseFeedPosition(feed: string, holder: string): Promise<void>;
  /** Moves a feed; false, and nothing moved, when it is not at `from`. */
  moveFeedPosition(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean>;
  /** Throws when the engine cannot commit: what `/readyz` asks. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
