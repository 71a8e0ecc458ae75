/**
 * What passes between the store and the thread that owns the file. Payloads of many records travel as one
 * transferred buffer: a clone of a view would copy the whole memory it looks at, which for a socket's buffer
 * is 64 KiB each.
 */
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import type { DiskState } from './disk-state.ts';
import type { StoreLimits } from './limits.ts';
import type {
  Acceptance,
  CommittedRange,
  Damage,
  Room,
  SessionItem,
  StoreErrorCode,
  StreamGap,
} from './types.ts';

/** Numbers of one record in `RecordColumns.numbers`: indexes of its words, monotonic ms, bytes of payload. */
export const NUMBERS_PER_RECORD = 5;

/** Records as columns; what they share is there once. */
export interface RecordColumns {
  count: number;
  streams: string[];
  devices: string[];
  topics: string[];
  /** For each record: stream, device, topic, monoMs, payload length. */
  numbers: Float64Array<ArrayBuffer>;
  /** One after the other. */
  payloads: Uint8Array<ArrayBuffer>;
}

/** What changes besides new records. Each may be applied again without harm. */
export type Operation =
  | ({ kind: 'accept' } & Acceptance)
  | ({ kind: 'accept-gap'; epoch: string; stream: string } & SeqRange)
  | { kind: 'accept-seal'; epoch: string; stream: string }
  /** The rows cannot be read: they become a gap. */
  | ({ kind: 'give-up'; epoch: string; stream: string } & Gap)
  /** What the broker keeps of its sessions. */
  | { kind: 'sessions'; items: SessionItem[] }
  /**
   * Some of the records older than their stream keeps them, by the monotonic time of this boot, become gaps.
   */
  | { kind: 'expire'; bootId: string; monoMs: number }
  /** A few unused pages are given back to the file system. */
  | { kind: 'vacuum' }
  | { kind: 'clock'; epoch: string; clock: EnvelopeClock };

export interface OpenArgument {
  file: string;
  suffix: string;
  clock: EnvelopeClock;
  limits: StoreLimits;
  reserveBytes: number;
  /** Of the folder when this process opened the file first; null before. */
  device: number | null;
  /** The disk was full: the reserve is given up first. */
  isDiskFull: boolean;
}

/** A StreamState whose sets are encoded, because a class instance does not survive the passage. */
export interface EncodedStreamState {
  epoch: string;
  stream: string;
  pending: Uint8Array;
  accepted: Array<{ provider: string; ranges: Uint8Array }>;
  gaps: Gap[];
  sealedAt: number | null;
  bytes: number;
}

export interface Opened {
  epoch: string;
  /** Of the epochs before this one that still have something in the file. */
  olderEpochs: Array<{ epoch: string; clock: EnvelopeClock }>;
  streams: EncodedStreamState[];
  rows: number;
  bytes: number;
  room: Room;
  sessions: SessionItem[];
  damage: Damage | null;
  /** Of the folder. */
  device: number;
  hasRoom: boolean;
}

export interface CommitResult {
  appended: CommittedRange[];
  /** Records that wait no more: accepted or given up. */
  freedRows: number;
  /** Of the chunks that left. */
  freedBytes: number;
  /** Given up in this commit, and durably so. */
  gaps: StreamGap[];
  /** Epochs of which nothing is left. */
  endedEpochs: string[];
  /** An `expire` left records that are too old to the next one. */
  hasTooOld: boolean;
  room: Room;
}

export interface ReadRange extends SeqRange {
  epoch: string;
  stream: string;
  maxBytes: number;
}

export const NUMBERS_PER_READ_RECORD = 5;

export interface ReadResult {
  /** Devices and topics, each once. */
  words: string[];
  /**
   * Of each record {@link NUMBERS_PER_READ_RECORD}: seq, its device and topic among the words, monotonic
   * time, payload length.
   */
  numbers: Float64Array<ArrayBuffer>;
  payloads: Uint8Array<ArrayBuffer>;
}

/** The calls the thread answers, one at a time, in order. */
export interface Calls {
  open: { argument: OpenArgument; result: Opened };
  commit: { argument: { records: RecordColumns; operations: Operation[] }; result: CommitResult };
  read: { argument: ReadRange; result: ReadResult };
  /**
   * Looks whether the disk has room for records, fails when the file is no longer where it was, and, when
   * idle, gives back some unused pages. `writtenBytes`: by the thread so far; null where the system does not
   * tell.
   */
  tidy: { argument: { isIdle: boolean }; result: { writtenBytes: number | null; hasRoom: boolean } };
  close: { argument: null; result: null };
}

export type Request = {
  [Name in keyof Calls]: { id: number; call: Name; argument: Calls[Name]['argument'] };
}[keyof Calls];

export type Reply =
  | { id: number; kind: 'done'; result: Calls[keyof Calls]['result'] }
  /** The thread has closed the file and ends. */
  | { id: number; kind: 'failed'; code: StoreErrorCode; disk: DiskState; message: string };
