/** The words of the ledger's contract: what goes in, what comes out, what is refused. */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { Gap, SeqRange, StreamKey } from '../../shared/record.ts';

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
 * What `Ledger.verify` found. No problem and no broken offset: the records and the interval sets agree.
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

/** Why a record came again. */
export type RepeatCause =
  /** The provider delivered the message again. */
  | 'redelivery'
  /** Another source brought it as well, and the gateway says what for. */
  | SendReason
  /** Another source brought it as well; nothing says why. */
  | 'other-source'
  /** The gateway sent it again through the same source, for example after an unknown outcome. */
  | 'same-source'
  /** What stood first has left the ledger. */
  | 'unknown';

export interface ErasureTarget {
  device: string;
  /** Null: of every gateway. */
  gateway: string | null;
}

/** One erasure, as the ledger remembers it. */
export interface Erasure extends ErasureTarget {
  id: number;
  /** Who asked for it. */
  actor: string;
  startedWallMs: number;
  /** Null when it did not come to its end: ask for it again. */
  finishedWallMs: number | null;
  records: number;
  /** Versions of records in conflict that had been kept aside. */
  versions: number;
  deadLetters: number;
}

/**
 * Something else holds what some entries of a commit need, for longer than a commit waits: nothing was
 * committed. The other entries can be committed at once, without these.
 */
export class EntriesBlocked extends Error {
  readonly entries: ReadonlySet<LedgerEntry>;

  constructor(entries: ReadonlySet<LedgerEntry>, cause: unknown) {
    super('what these entries need is locked', { cause });
    this.name = 'EntriesBlocked';
    this.entries = entries;
  }
}

/**
 * A part of the ledger is gone, older than what was read of it, or of another ledger. Nothing is committed or
 * read until the parts that were opened are there again.
 */
export class LedgerLost extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LedgerLost';
  }
}

/**
 * An entry that the ledger will never take, however often it comes: for the dead letters, not for redelivery.
 */
export class EntryRefused extends Error {
  /** `limit`: it would break a bound of the ledger. `refused`: the engine cannot store what it says. */
  readonly reason: 'limit' | 'refused';

  constructor(reason: 'limit' | 'refused', message: string) {
    super(message);
    this.name = 'EntryRefused';
    this.reason = reason;
  }
}
