/** The words of the store's public face. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { IntervalSet } from '../../shared/interval-set.ts';
import type { Logger } from '../../shared/log.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import type { DiskState } from './disk-state.ts';
import type { StoreLimits } from './limits.ts';

export interface StoreOptions {
  file: string;
  bootId: string;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Default: 2 GiB, and each stream durable and evicted alike. */
  limits?: StoreLimits;
  /** Space set aside so that a full disk can still be drained. Default: none. */
  reserveBytes?: number;
}

const RECORD_OVERHEAD_BYTES = 32;

/** A publish on its way into the buffer. The payload is copied at once: the caller may reuse its memory. */
export interface NewRecord {
  stream: string;
  device: string;
  topic: string;
  payload: Uint8Array;
  monoMs: number;
}

/**
 * The rest of a record's id, in the store's present epoch (I2). `seq` is 0 while it has none, being in memory
 * only.
 */
export interface Appended {
  stream: string;
  seq: number;
}

/**
 * Called once, with null and the record's seq (0 while it has none), or with why it is not known to be
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

/** What was in the buffer of one (epoch, stream) when the file was opened, and what was accepted by whom. */
export interface StreamState {
  epoch: string;
  stream: string;
  pending: IntervalSet;
  /** By provider; only ranges that wait for more copies, or for a receipt. */
  accepted: Map<string, IntervalSet>;
  /** Given up on purpose, not yet delivered. */
  gaps: Gap[];
  /** The last seq of an epoch that is over and whose end is not yet announced; null otherwise. */
  sealedAt: number | null;
  /**
   * Sum of {@link recordBytes} over the records in the file: those of a chunk stay until the last of them is
   * free.
   */
  bytes: number;
}

/**
 * A provider accepted `first..last`, or, with `provider` null, a receipt of the router covers it; `copies` is
 * how many different providers the stream's rule asks for.
 */
export interface Acceptance extends SeqRange {
  epoch: string;
  stream: string;
  provider: string | null;
  copies: number;
  /** The stream's rows stay until a receipt covers them. */
  untilReceipt?: boolean;
}

/** What one commit added to a stream: a dense range. */
export interface CommittedRange extends SeqRange {
  stream: string;
  bytes: number;
}

/** A range that was given up on purpose (I3). */
export interface StreamGap extends Gap {
  epoch: string;
  stream: string;
}

/** What of the buffer's bound is taken. */
export interface Room {
  usedBytes: number;
  /** Of the streams that have something to give up; null when none has. */
  lowestPriority: number | null;
  /** Record bytes of the streams that have a bound of their own. */
  streamBytes: Record<string, number>;
}

/** Acknowledged and not on the disk: what a power cut now would take. */
export interface LossWindow {
  stream: string;
  records: number;
  /** Age of the oldest; 0 when there is none. */
  ageMs: number;
}

export interface StoreStats {
  /** Records that wait. */
  rows: number;
  /** Sum of {@link recordBytes} over the records in the file. */
  bytes: number;
  fileBytes: number;
  walBytes: number;
  /** Commits since the process started, and how long the last one took from hand-over to answer. */
  commits: number;
  lastCommitMs: number;
}

/** Why the store did not do it. `code` is the log field and the metric label. */
export type StoreErrorCode =
  /** The buffer holds as much as it may. */
  | 'full'
  /** The disk is full. */
  | 'disk-full'
  /** Too much is waiting for the disk. */
  | 'overloaded'
  /** The disk or the file failed; the store reopens it by itself. */
  | 'failed'
  /** Stopped, or not started. */
  | 'stopped'
  /** Another process has the file. */
  | 'locked'
  /** The file was written by a newer version of this program. */
  | 'newer-schema';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  /** What the disk does, where that is why. */
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

/** What a record takes in memory, about: tiny ones have a bound too (I10). */
export function memoryBytes(record: NewRecord): number {
  return recordBytes(record) + RECORD_OVERHEAD_BYTES;
}

/** What the broker keeps of a session: the store reads neither names nor values. */
export type SessionItemKind =
  /** key: topic filter. */
  | 'subscription'
  /** client: empty; key: topic. */
  | 'retained'
  /** key: its place in the order of all clients, a whole number. */
  | 'outgoing'
  /** key: a QoS 2 packet id whose record is stored and whose PUBREL has not come. */
  | 'incoming'
  /** key: empty. */
  | 'will';

export interface SessionItem {
  kind: SessionItemKind;
  client: string;
  key: string;
  /** Null: gone. */
  value: Uint8Array | null;
}

/** What came out of a damaged file. */
export interface Salvaged {
  /** Pending records that are there. */
  records: number;
  /** Pending ones that are not: each is in a gap. */
  lostRecords: number;
  sessionItems: number;
}

/** What was wrong with the file that was found, where it is now, and what of it is in the new one. */
export interface Damage extends Salvaged {
  detail: string;
  movedTo: string;
  /** Older damaged files, no longer kept. */
  removed: string[];
}
