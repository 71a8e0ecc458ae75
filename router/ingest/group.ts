/** What waits for the ledger, and how much of it goes into one commit. */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { LedgerEntry } from '../ledger/types.ts';
import type { Delivery, Settlement } from '../sources/source.ts';

export interface IngestLimits {
  /** Most envelopes in one commit. */
  groupEnvelopesMax: number;
  /** Decoded bytes after which a commit takes no more envelopes. */
  groupBytesMax: number;
  /** Most decoded bytes that may wait for the ledger; further messages are left for redelivery (I10). */
  pendingBytesMax: number;
}

export interface Waiting {
  entry: LedgerEntry;
  delivery: Delivery;
  bytes: number;
  settle: (settlement: Settlement) => void;
}

const MIB = 1024 * 1024;

export const INGEST_LIMITS: IngestLimits = {
  groupEnvelopesMax: 512,
  groupBytesMax: 16 * MIB,
  pendingBytesMax: 128 * MIB,
};
/** Approximate memory of a decoded record, gap or envelope besides its payloads. */
const OVERHEAD_BYTES = 200;

/** Approximate memory of a decoded envelope. */
export function sizeOf({ records, gaps }: Envelope): number {
  const overhead = (1 + records.length + gaps.length) * OVERHEAD_BYTES;
  return records.reduce((bytes, { payload }) => bytes + payload.byteLength, overhead);
}

/** How many of `waiting`, from the first on, go into the next commit, and their bytes. */
export function groupOf(
  waiting: readonly Waiting[],
  { groupEnvelopesMax, groupBytesMax }: IngestLimits,
): { count: number; bytes: number } {
  let [bytes, count] = [0, 0];
  for (const one of waiting) {
    const isFull = count === groupEnvelopesMax || (count > 0 && bytes + one.bytes > groupBytesMax);
    if (isFull) break;
    bytes += one.bytes;
    count += 1;
  }
  return { count, bytes };
}
