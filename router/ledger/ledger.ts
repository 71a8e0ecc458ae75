/**
 * One contract for every ledger engine. The ledger holds each record id at most once, whatever the order, redelivery,
 * crash or replica (I5), and can say for every (gateway, epoch, stream) what is complete, missing, given up,
 * duplicated and in conflict (I6).
 */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { Gap, SeqRange, StreamKey } from '../../shared/record.ts';
import type { CheckpointStore } from '../sources/source.ts';

export interface LedgerEntry {
  envelope: Envelope;
  /** The source that delivered it. */
  source: string;
  receivedWallMs: number;
}

export interface CommitResult {
  /** Counts of record ids in this envelope, by what became of them. */
  new: number;
  duplicate: number;
  conflict: number;
  /** Ids newly given up by this envelope's gaps. */
  gap: number;
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
  clockQuality: 'synchronised' | 'unsynchronised';
  source: string;
  receivedWallMs: number;
}

export interface StreamCompleteness extends StreamKey {
  /** Everything from 1 to here is held or given up. */
  completeTo: number;
  /** Highest seq seen or announced. */
  highest: number;
  /** Not yet seen below `highest` (at most the first 100 ranges). */
  missing: SeqRange[];
  missingCount: number;
  gaps: Gap[];
  sealedAt: number | null;
  records: number;
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
  /** An EnvelopeError code or `foreign-gateway`. */
  reason: string;
  detail: string;
  bytes: Uint8Array;
  receivedWallMs: number;
}

export interface Ledger extends CheckpointStore {
  /** Commits all entries in one durable transaction; results in the order of the entries. Rejects when nothing was committed. */
  commit(entries: readonly LedgerEntry[]): Promise<CommitResult[]>;
  /** Records with offset > `after`, ascending. */
  read(after: number, limit: number): Promise<LedgerRecord[]>;
  completeness(gateway?: string): Promise<StreamCompleteness[]>;
  contacts(): Promise<GatewayContact[]>;
  deadLetter(letter: DeadLetter): Promise<void>;
  totals(): Promise<{ records: number; duplicates: number; conflicts: number; deadLetters: number }>;
  loadCursor(feed: string): Promise<number>;
  saveCursor(feed: string, offset: number): Promise<void>;
  /** Throws when the engine cannot commit: what `/readyz` asks. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
