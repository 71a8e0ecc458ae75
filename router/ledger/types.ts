/** The types of the ledger's contract: entries, results, errors. */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { Gap, SeqRange, StreamKey } from '../../shared/record.ts';

export interface LedgerEntry {
  envelope: Envelope;
  /** The source that delivered it. */
  source: string;
  receivedWallMs: number;
  /** A registered key of the gateway has signed it. Set by the ingest; nothing on the wire says so. */
  verified: boolean;
  /**
   * Most ids that it may jump ahead, or give up at once, where it is not verified; infinite by an operator's
   * word. Default: rules/proof.ts.
   */
  jumpMax?: number;
  /**
   * Most separate ranges that the stream may have afterwards (quotas of router.yaml). Default: the ledger's
   * own bound alone.
   */
  rangesMax?: number;
  /** The provider has delivered the message before. Default: the provider does not report it. */
  redelivered?: boolean;
  /** Why the gateway sent the envelope. Default: no reason given. */
  sentAs?: SendReason | null;
}

export interface CommitResult {
  /** Counts of record ids in this envelope, by outcome. */
  new: number;
  /** Already held with the same content, or pruned and so not comparable. */
  duplicate: number;
  /** `duplicate` by cause; causes without a duplicate are absent. */
  causes: Partial<Record<RepeatCause, number>>;
  /** Already held with other content: kept aside, never merged. */
  conflict: number;
  /** Ids newly given up by this envelope's gaps. */
  gap: number;
  /**
   * The outcomes by id: ascending, disjoint, as few ranges as possible. Every record's id is in one range,
   * and of the gaps' ids those that are newly given up. One range for an envelope that was new as a whole and
   * had no hole.
   */
  ranges: RangeOutcome[];
  /** Nothing of the envelope was taken: it becomes a dead letter. */
  refused?: Refused;
}

/** Why the ledger takes nothing of an envelope. */
export interface Refused {
  /**
   * `unproven`: only a verified envelope may say so, of a stream that its gateway signs. `implausible`: a
   * jump or gap beyond the bound, without a signature. `quota`: more separate ranges than the quota.
   */
  reason: 'unproven' | 'implausible' | 'quota';
  detail: string;
}

export interface RangeOutcome extends SeqRange {
  outcome: 'new' | 'duplicate' | 'conflict' | 'gap';
}

export interface LedgerRecord extends StreamKey {
  /** Dense, ascending, assigned at commit: feeds follow it. */
  offset: number;
  seq: number;
  device: string;
  topic: string;
  payload: Uint8Array;
  bootId: string;
  monoMs: number;
  wallMs: number;
  /**
   * `corrected`: the record came unsynchronised, and `wallMs` uses the mapping from a later envelope of the
   * same boot (I7).
   */
  clockQuality: 'synchronised' | 'unsynchronised' | 'corrected';
  source: string;
  receivedWallMs: number;
}

/**
 * Why the ledger no longer holds the record of a seen id. The id does not count as missing, and is never
 * accepted again.
 */
export type Withdrawal =
  /** The record exceeded the age or size bound of its stream. */
  | 'retention'
  /** A version of the record was of an erased device. */
  | 'erasure'
  /** Two contents came under the id, and the stream's policy trusts neither. */
  | 'quarantine';

export interface StreamCompleteness extends StreamKey {
  /** Everything from 1 to here is held or given up. */
  completeTo: number;
  /** Highest seq seen or announced. */
  highest: number;
  /** Ids below `highest` not yet seen (at most the first 100 ranges). */
  missing: SeqRange[];
  /** The number of missing ids (not ranges), over all ranges. */
  missingCount: number;
  /** Given-up ids that are not held, ascending. */
  gaps: Gap[];
  sealedAt: number | null;
  /** Ids that came, including those withdrawn since. */
  records: number;
  withdrawn: Readonly<Record<Withdrawal, number>>;
  duplicates: number;
  conflicts: number;
  /** A verified envelope of this stream has come. */
  isSigned: boolean;
  /** Seen ids that only unverified envelopes brought. */
  unverified: number;
  /** The same statement without the `unverified` ids. */
  proven: Pick<StreamCompleteness, 'completeTo' | 'highest' | 'missing' | 'missingCount'>;
}

export interface GatewayContact {
  gateway: string;
  source: string;
  lastWallMs: number;
}

export interface DeadLetter {
  source: string;
  /** A RefusalReason (router/ingest/refusal.ts). */
  reason: string;
  detail: string;
  bytes: Uint8Array;
  receivedWallMs: number;
  /** As the provider reported it; a retry is checked against it too. */
  authenticatedGateway?: string | null;
  /**
   * The gateway that its login or its signature proves: the letter counts against its share. Default: none.
   */
  gateway?: string | null;
  /** The provider's properties of the message. */
  properties?: Readonly<Record<string, string>>;
}

/** A record's content without its id; two contents under one id are equal (a duplicate) or in conflict. */
export interface RecordContent {
  device: string;
  topic: string;
  payload: Uint8Array;
  monoMs: number;
}

/** One version of a record, and how it came. */
export interface RecordVersion extends RecordContent {
  source: string;
  receivedWallMs: number;
}

/** The standing version in the ledger. */
export interface HeldVersion extends RecordVersion {
  sentAs: SendReason | null;
}

/**
 * Two contents under one record id (I6): `held` stands in the ledger and `other` is kept aside. For an id in
 * quarantine both are aside, and `held` is the one that came first.
 */
export interface LedgerConflict extends StreamKey {
  seq: number;
  held: RecordVersion;
  other: RecordVersion;
}

/**
 * The result of `Ledger.verify`. Without problems and broken offsets, the records and the interval sets
 * agree.
 */
export interface LedgerVerification {
  streams: number;
  records: number;
  /** At most the first 100. */
  problems: StreamProblem[];
  /** The number of all problems. */
  problemCount: number;
}

export interface StreamProblem extends StreamKey {
  problem: /** Its id is not in the seen set: it would be accepted again. */
    | 'record-not-seen'
    /** The id is seen and not withdrawn, and its record is missing. */
    | 'seen-without-record'
    /** The id is in quarantine, and a record is held. */
    | 'held-though-withdrawn'
    /** One id has several records (I5). */
    | 'held-twice'
    /** The bytes counted for the gateway are not those of its records; of all epochs, so `epoch` is empty. */
    | 'share-differs';
  /** At most the first 100. */
  ranges: SeqRange[];
}

/** The position of a feed. */
export interface FeedPosition {
  /** Every record up to here is delivered. 0 at the start. */
  offset: number;
  /**
   * The feed's own state beyond the offset; the ledger only stores it. Empty for a feed that delivers in the
   * order of offsets.
   */
  progress: Uint8Array;
}

/** Why a record came again. */
export type RepeatCause =
  /** The provider delivered the message again. */
  | 'redelivery'
  /** Another source brought it as well, and the gateway gave the reason. */
  | SendReason
  /** Another source brought it as well; the reason is unknown. */
  | 'other-source'
  /** The gateway sent it again through the same source, for example after an unknown outcome. */
  | 'same-source'
  /** The first version has left the ledger. */
  | 'unknown';

export interface ErasureTarget {
  device: string;
  /** Null: all gateways. */
  gateway: string | null;
}

/** One erasure in the ledger's list. */
export interface Erasure extends ErasureTarget {
  id: number;
  /** The person or program that asked for it. */
  actor: string;
  startedWallMs: number;
  /** Null when it did not finish: run it again. */
  finishedWallMs: number | null;
  records: number;
  /** Versions of records in conflict that had been kept aside. */
  versions: number;
  deadLetters: number;
}

/**
 * Another transaction locks data that some entries of a commit need, for longer than a commit waits: nothing
 * was committed. The other entries can be committed at once, without these.
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
 * A part of the ledger is gone, older than its last read, or of another ledger. Nothing is committed or read
 * until the opened parts are there again.
 */
export class LedgerLost extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LedgerLost';
  }
}

/** An entry that the ledger can never store: it becomes a dead letter and is not redelivered. */
export class EntryRefused extends Error {
  /** `limit`: it would break a bound of the ledger. `refused`: the engine cannot store its content. */
  readonly reason: 'limit' | 'refused';

  constructor(reason: 'limit' | 'refused', message: string) {
    super(message);
    this.name = 'EntryRefused';
    this.reason = reason;
  }
}
