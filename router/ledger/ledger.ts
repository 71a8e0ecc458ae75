/**
 * One contract for every ledger engine. The ledger holds each record id at most once, whatever the order,
 * redelivery, crash or replica (I5), and can say for every (gateway, epoch, stream) what is complete,
 * missing, given up, duplicated and in conflict (I6).
 */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { Gap, SeqRange, StreamKey } from '../../shared/record.ts';
import type { CheckpointStore } from '../sources/source.ts';
import type { LedgerUpkeep } from './maintenance.ts';
import type { CompletenessPage, PageQuery, StreamVisitor } from './paging.ts';
import type { RepeatCause } from './rules/repeat-cause.ts';

export interface LedgerEntry {
  envelope: Envelope;
  /** The source that delivered it. */
  source: string;
  receivedWallMs: number;
  /** The provider says that it had delivered the message before. Default: it does not tell. */
  redelivered?: boolean;
  /** What the gateway says that it sent the envelope for. Default: nothing. */
  sentAs?: SendReason | null;
}

export interface CommitResult {
  /** Counts of record ids in this envelope, by what became of them. */
  new: number;
  /** Already held with the same content (or pruned since, and so not comparable). */
  duplicate: number;
  /** Of `duplicate`: how many by each cause; those with none are absent. */
  causes: Partial<Record<RepeatCause, number>>;
  /** Already held with other content: kept aside, never merged. */
  conflict: number;
  /** Ids newly given up by this envelope's gaps. */
  gap: number;
  /**
   * The same by id: ascending, disjoint, as few as can be. Every id of a record is in one; of the gaps' ids
   * those that are newly given up. One range where the envelope was new as a whole and had no hole.
   */
  ranges: RangeOutcome[];
}

export interface RangeOutcome extends SeqRange {
  outcome: 'new' | 'duplicate' | 'conflict' | 'gap';
}

export interface LedgerRecord extends StreamKey {
  /** Dense, ascending, given at commit: what feeds follow. */
  offset: number;
  seq: number;
  device: string;
  topic: string;
  payload: Uint8Array;
  bootId: string;
  monoMs: number;
  wallMs: number;
  /**
   * `corrected`: it came unsynchronised, and `wallMs` is by what a later envelope of the same boot taught
   * (I7).
   */
  clockQuality: 'synchronised' | 'unsynchronised' | 'corrected';
  source: string;
  receivedWallMs: number;
}

/**
 * Why the ledger no longer holds the record of an id that it has seen. Such an id is neither missing nor
 * taken again.
 */
export type Withdrawal =
  /** It was older, or its stream larger, than it is kept. */
  | 'retention'
  /** A version of it was of a device that was erased. */
  | 'erasure'
  /** Two contents came under it, and the stream's policy trusts neither. */
  | 'quarantine';

export interface StreamCompleteness extends StreamKey {
  /** Everything from 1 to here is held or given up. */
  completeTo: number;
  /** Highest seq seen or announced. */
  highest: number;
  /** Not yet seen below `highest` (at most the first 100 ranges). */
  missing: SeqRange[];
  /** How many ids (not ranges) are missing, all ranges counted. */
  missingCount: number;
  /** Given up and not held, ascending. */
  gaps: Gap[];
  sealedAt: number | null;
  /** Ids that came, those withdrawn since among them. */
  records: number;
  withdrawn: Readonly<Record<Withdrawal, number>>;
  duplicates: number;
  conflicts: number;
}

export interface GatewayContact {
  gateway: string;
  source: string;
  lastWallMs: number;
}

export interface DeadLetter {
  source: string;
  /** A RefusalReason (router/ingest/examine.ts). */
  reason: string;
  detail: string;
  bytes: Uint8Array;
  receivedWallMs: number;
  /** As the provider told it, so that a retry is held to it too. */
  authenticatedGateway?: string | null;
  /** What the provider said beside the bytes. */
  properties?: Readonly<Record<string, string>>;
}

/**
 * What a record says, apart from its id; two of these under one id are equal (a duplicate) or in conflict.
 */
export interface RecordContent {
  device: string;
  topic: string;
  payload: Uint8Array;
  monoMs: number;
}

/** One version of a record and the way it came. */
export interface RecordVersion extends RecordContent {
  source: string;
  receivedWallMs: number;
}

/** What stands in the ledger. */
export interface HeldVersion extends RecordVersion {
  sentAs: SendReason | null;
}

/**
 * Two contents under one record id (I6): `held` stands in the ledger and `other` is kept aside. Of an id in
 * quarantine both are aside, and `held` is the one that came first.
 */
export interface LedgerConflict extends StreamKey {
  seq: number;
  held: RecordVersion;
  other: RecordVersion;
}

/**
 * What {@link Ledger.verify} found. No problem and no broken offset: the records and the interval sets agree.
 */
export interface LedgerVerification {
  streams: number;
  records: number;
  /** At most the first 100. */
  problems: StreamProblem[];
  /** How many there are in all. */
  problemCount: number;
}

export interface StreamProblem extends StreamKey {
  problem: /** Its id is not in the seen set: it would be taken again. */
    | 'record-not-seen'
    /** The seen set has the id, it was not withdrawn, and no record is there. */
    | 'seen-without-record'
    /** It is in quarantine, and a record is there all the same. */
    | 'held-though-withdrawn'
    /** One id, several records (I5). */
    | 'held-twice';
  /** At most the first 100. */
  ranges: SeqRange[];
}

/** How far a feed is. */
export interface FeedPosition {
  /** Every record up to here is handed over. 0 at the start. */
  offset: number;
  /**
   * What the feed knows beyond that; the ledger only keeps it. Empty for a feed that hands over in the order
   * of offsets.
   */
  progress: Uint8Array;
}

export interface Ledger extends CheckpointStore {
  readonly upkeep: LedgerUpkeep;
  /**
   * Commits all entries in one durable transaction; results in the order of the entries. Rejects when nothing
   * was committed: with EntryRefused when an entry can never be.
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
  /** The offset of a feed's position; 0 for a feed that has none. */
  loadCursor(feed: string): Promise<number>;
  /** Sets a feed's position, wherever it was; whoever runs the feed goes on from there. */
  saveCursor(feed: string, offset: number): Promise<void>;
  /**
   * Gives `holder` the right to run `feed` for the next `forMs`, new or again, and says the feed's position;
   * null while another holder has it. Where only one router can use the ledger, it always has it.
   */
  claimFeed(feed: string, holder: string, forMs: number): Promise<FeedPosition | null>;
  /** Gives the right back before its time. Nothing happens when `holder` does not have it. */
  releaseFeed(feed: string, holder: string): Promise<void>;
  /** Moves a feed; false, and nothing moved, when it is not at `from`. */
  moveFeed(feed: string, from: FeedPosition, to: FeedPosition): Promise<boolean>;
  /** Throws when the engine cannot commit: what `/readyz` asks. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
