/**
 * What passes between the store and the thread that owns the file. Payloads of many records travel as one transferred
 * buffer: a clone of a view would copy the whole memory it looks at, which for a socket's buffer is 64 KiB each.
 */
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import type { Damage } from './open-file.ts';
import type { Acceptance, CommittedRange, StoreErrorCode } from './types.ts';

/** Records as columns. `lengths` cuts `payloads`. */
export interface RecordColumns {
  streams: string[];
  devices: string[];
  topics: string[];
  monoMs: number[];
  lengths: number[];
  payloads: Uint8Array<ArrayBuffer>;
}

/** What changes besides new records. Each may be applied again without harm. */
export type Operation =
  | ({ kind: 'accept' } & Acceptance)
  | ({ kind: 'accept-gap'; epoch: string; stream: string } & SeqRange)
  | { kind: 'accept-seal'; epoch: string; stream: string }
  | { kind: 'clock'; epoch: string; clock: EnvelopeClock };

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
  damage: Damage | null;
}

export interface CommitResult {
  appended: CommittedRange[];
  freedRows: number;
  freedBytes: number;
  /** Epochs of which nothing is left. */
  endedEpochs: string[];
}

export interface ReadRange extends SeqRange {
  epoch: string;
  stream: string;
  maxBytes: number;
}

export interface ReadResult {
  seqs: number[];
  columns: Omit<RecordColumns, 'streams'>;
}

/** The calls the thread answers, one at a time, in order. */
export interface Calls {
  open: { argument: { file: string; suffix: string; clock: EnvelopeClock }; result: Opened };
  commit: { argument: { records: RecordColumns; operations: Operation[] }; result: CommitResult };
  read: { argument: ReadRange; result: ReadResult };
  /** Gives back some unused pages of the file. */
  vacuum: { argument: null; result: null };
  close: { argument: null; result: null };
}

export type Request = {
  [Name in keyof Calls]: { id: number; call: Name; argument: Calls[Name]['argument'] };
}[keyof Calls];

export type Reply =
  | { id: number; kind: 'done'; result: Calls[keyof Calls]['result'] }
  /** The thread has closed the file and ends. */
  | { id: number; kind: 'failed'; code: StoreErrorCode; message: string };
