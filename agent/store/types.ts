/** The public types of the store. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { IntervalSet } from '../../shared/interval-set.ts';
import type { Logger } from '../../shared/log.ts';
import type { Gap, GapReason, SeqRange } from '../../shared/record.ts';
import type { FileKey } from '../../shared/sqlite/open.ts';
import type { DiskState } from './disk-state.ts';
import type { StoreLimits } from './limits.ts';

export interface StoreOptions {
  file: string;
  /** Default: null, the file is in clear. */
  key?: FileKey | null;
  /** Default: null, the records of any gateway. */
  gateway?: string | null;
  bootId: string;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Default: 2 GiB, every stream durable, with equal eviction. */
  limits?: StoreLimits;
  /** Space reserved so that a full disk can still be drained. Default: none. */
  reserveBytes?: number;
}

const RECORD_OVERHEAD_BYTES = 32;

/** A publish to be stored. The payload is copied at once: the caller may reuse its memory. */
export interface NewRecord {
  stream: string;
  device: string;
  topic: string;
  payload: Uint8Array;
  monoMs: number;
}

/**
 * The rest of a record's id, in the store's present epoch (I2). `seq` is 0 for a record in memory that has
 * none yet.
 */
export interface Appended {
  stream: string;
  seq: number;
}

/**
 * Called once: with null and the record's seq (0 while it has none), or with the error when it may not be
 * durable.
 */
export type Settled = (error: StoreError | null, seq: number) => void;

export interface StoredRecord {
  seq: number;
  device: string;
  topic: string;
  payload: Uint8Array;
  monoMs: number;
}

export interface EpochInfo {
  epoch: string;
  clock: EnvelopeClock;
  current: boolean;
}

/** The buffer's content of one (epoch, stream) when the file was opened, with its acceptances by provider. */
export interface StreamState {
  epoch: string;
  stream: string;
  pending: IntervalSet;
  /** By provider; only ranges that wait for more copies, or for a receipt. */
  accepted: Map<string, IntervalSet>;
  /** Ranges that were given up, not yet delivered. */
  gaps: Gap[];
  /** The last seq of a past epoch whose end is not yet announced; null otherwise. */
  sealedAt: number | null;
  /**
   * Sum of {@link recordBytes} over the records in the file: records of a chunk count until all of them are
   * free.
   */
  bytes: number;
}

/**
 * A provider accepted `first..last`, or, with `provider` null, a receipt of the router covers it. `copies`:
 * number of different providers that the stream requires.
 */
export interface Acceptance extends SeqRange {
  epoch: string;
  stream: string;
  provider: string | null;
  copies: number;
  /** The stream's rows stay until a receipt covers them. */
  untilReceipt?: boolean;
}

/** The records that one commit added to a stream: a dense range. */
export interface CommittedRange extends SeqRange {
  stream: string;
  bytes: number;
}

/** A range that was given up (I3). */
export interface StreamGap extends Gap {
  epoch: string;
  stream: string;
}

/** Records of a stream that were given up for one reason. */
export interface GivenUp {
  stream: string;
  reason: GapReason;
  /** Since this process started. */
  records: number;
  /** Before it started, and not delivered as a gap then. */
  before: number;
  /** Monotonic time of the last; null when none was since the start. */
  lastMs: number | null;
}

/** The used part of the buffer's bound. */
export interface Room {
  usedBytes: number;
  /** Lowest priority of the streams that may give records up; null when none may. */
  lowestPriority: number | null;
  /** Record bytes of the streams with their own bound. */
  streamBytes: Record<string, number>;
}

/** Records that are acknowledged and not on disk: the loss of a power cut now. */
export interface LossWindow {
  stream: string;
  records: number;
  /** Age of the oldest record; 0 when there is none. */
  ageMs: number;
}

export interface StoreStats {
  /** Waiting records. */
  rows: number;
  /** Sum of {@link recordBytes} over the records in the file. */
  bytes: number;
  fileBytes: number;
  walBytes: number;
  /** Commits since the process started, and the duration of the last one from hand-over to answer. */
  commits: number;
  lastCommitMs: number;
}

/** Why the store refused a call. `code` is both log field and metric label. */
export type StoreErrorCode =
  /** The buffer is at its bound. */
  | 'full'
  /** The disk is full. */
  | 'disk-full'
  /** Too many bytes wait for the disk. */
  | 'overloaded'
  /** The disk or the file failed; the store reopens it by itself. */
  | 'failed'
  /** Stopped, or not started. */
  | 'stopped'
  /** Another process has the file open. */
  | 'locked'
  /** The file was written by a newer version of this program. */
  | 'newer-schema'
  /** The file is encrypted with a key that is not the given one. */
  | 'encrypted'
  /** The file holds records of another gateway. */
  | 'foreign';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  /** The state of the disk, where it is the cause. */
  readonly disk: DiskState;

  constructor(code: StoreErrorCode, message: string, disk: DiskState = 'failed') {
    super(message);
    this.code = code;
    this.disk = disk;
  }
}

/** Size of a record as the store counts it: payload, topic and device id in UTF-8. */
export function recordBytes(record: { payload: Uint8Array; topic: string; device: string }): number {
  return record.payload.byteLength + Buffer.byteLength(record.topic) + Buffer.byteLength(record.device);
}

/** Approximate memory of a record: tiny records have a bound too (I10). */
export function memoryBytes(record: NewRecord): number {
  return recordBytes(record) + RECORD_OVERHEAD_BYTES;
}

/** An item of the broker's session state. The store reads neither names nor values. */
export type SessionItemKind =
  /** key: topic filter. */
  | 'subscription'
  /** client: empty; key: topic. */
  | 'retained'
  /** key: empty; whose the session is. */
  | 'owner'
  /** key: position in the order of all clients, a whole number. */
  | 'outgoing'
  /** key: a QoS 2 packet id whose record is stored and whose PUBREL has not come. */
  | 'incoming'
  /** key: empty. */
  | 'will';

export interface SessionItem {
  kind: SessionItemKind;
  client: string;
  key: string;
  /** Null: deleted. */
  value: Uint8Array | null;
}

/** The result of a salvage. */
export interface Salvaged {
  /** Pending records that were copied. */
  records: number;
  /** Pending records that were lost: each is in a gap. */
  lostRecords: number;
  sessionItems: number;
}

/** The damage, the new name of the damaged file, and the salvaged records. */
export interface Damage extends Salvaged {
  detail: string;
  movedTo: string;
  /** Older damaged files that were deleted. */
  removed: string[];
}
