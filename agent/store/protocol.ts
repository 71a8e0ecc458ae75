/**
 * The messages between the store and the thread that owns the file. Payloads of many records travel as one
 * transferred buffer: cloning a view would copy its whole memory, which for a socket's buffer is 64 KiB each.
 */
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import type { FileKey } from '../../shared/sqlite/open.ts';
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

/** Records as columns; shared words are stored once. */
export interface RecordColumns {
  count: number;
  streams: string[];
  devices: string[];
  topics: string[];
  /** For each record: stream, device, topic, monoMs, payload length. */
  numbers: Float64Array<ArrayBuffer>;
  /** All payloads, concatenated. */
  payloads: Uint8Array<ArrayBuffer>;
}

/** The changes of a commit besides new records. Each is idempotent. */
export type Operation =
  | ({ kind: 'accept' } & Acceptance)
  | ({ kind: 'accept-gap'; epoch: string; stream: string } & SeqRange)
  | { kind: 'accept-seal'; epoch: string; stream: string }
  /** The rows are unreadable or cannot be kept: they become a gap. */
  | ({ kind: 'give-up'; epoch: string; stream: string } & Gap)
  /** The broker's session items. */
  | { kind: 'sessions'; items: SessionItem[] }
  /**
   * Some of the records older than their stream keeps them, by the monotonic time of this boot, become gaps.
   */
  | { kind: 'expire'; bootId: string; monoMs: number }
  /** Some unused pages are returned to the file system. */
  | { kind: 'vacuum' }
  /** Other limits hold from here on. */
  | { kind: 'limits'; limits: StoreLimits }
  | { kind: 'clock'; epoch: string; clock: EnvelopeClock };

export interface OpenArgument {
  file: string;
  suffix: string;
  clock: EnvelopeClock;
  limits: StoreLimits;
  /** Null: the file is in clear. */
  key: FileKey | null;
  /** Whose records the file may hold; null: any. */
  gateway: string | null;
  reserveBytes: number;
  /** Device of the folder when this process first opened the file; null before. */
  device: number | null;
  /** The disk was full: the reserve is released first. */
  isDiskFull: boolean;
}

/** A StreamState with encoded sets, because a class instance cannot be cloned to another thread. */
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
  /** Older epochs that still have rows, gaps or an end in the file. */
  olderEpochs: Array<{ epoch: string; clock: EnvelopeClock }>;
  streams: EncodedStreamState[];
  rows: number;
  bytes: number;
  room: Room;
  sessions: SessionItem[];
  damage: Damage | null;
  /** The gateway whose empty file this was until now. */
  formerGateway: string | null;
  /** Device of the folder. */
  device: number;
  hasRoom: boolean;
}

export interface CommitResult {
  appended: CommittedRange[];
  /** Records that were accepted or given up. */
  freedRows: number;
  /** Bytes of the deleted chunks. */
  freedBytes: number;
  /** Gaps of this commit, which are durable. */
  gaps: StreamGap[];
  /** Epochs that were deleted because nothing of them was left. */
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
   * {@link NUMBERS_PER_READ_RECORD} numbers for each record: seq, indexes of device and topic, monotonic
   * time, payload length.
   */
  numbers: Float64Array<ArrayBuffer>;
  payloads: Uint8Array<ArrayBuffer>;
}

/** The calls that the thread answers, one at a time, in order. */
export interface Calls {
  open: { argument: OpenArgument; result: Opened };
  commit: { argument: { records: RecordColumns; operations: Operation[] }; result: CommitResult };
  read: { argument: ReadRange; result: ReadResult };
  /**
   * Checks that the disk has room for records, fails when the file is no longer at its path, and returns some
   * unused pages when idle. `writtenBytes`: written by the thread so far; null where the system does not
   * report it.
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
