/** An envelope that waits for the ledger, and the limits of what waits and of one commit. */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { LedgerEntry } from '../ledger/types.ts';
import type { Sender } from '../quotas/quotas.ts';
import type { Delivery, Settlement } from '../sources/source.ts';

export interface IngestLimits {
  /** Most envelopes in one commit. */
  groupEnvelopesMax: number;
  /** Decoded bytes after which a commit takes no more envelopes. */
  groupBytesMax: number;
  /** Records after which a commit takes no more envelopes. */
  groupRecordsMax: number;
  /** Most decoded bytes that may wait for the ledger; further messages are left for redelivery (I10). */
  pendingBytesMax: number;
}

export interface Waiting {
  entry: LedgerEntry;
  delivery: Delivery;
  /** The gateway, as its login or signature proves it or as it is claimed. */
  sender: Sender;
  bytes: number;
  settle: (settlement: Settlement) => void;
}

const MIB = 1024 * 1024;

export const INGEST_LIMITS: IngestLimits = {
  groupEnvelopesMax: 512,
  groupBytesMax: 16 * MIB,
  groupRecordsMax: 10_000,
  pendingBytesMax: 128 * MIB,
};
/** Approximate memory of a decoded record, gap or envelope besides its payloads. */
const OVERHEAD_BYTES = 200;

/** Approximate memory of a decoded envelope. */
export function sizeOf({ records, gaps }: Envelope): number {
  const overhead = (1 + records.length + gaps.length) * OVERHEAD_BYTES;
  return records.reduce((bytes, { payload }) => bytes + payload.byteLength, overhead);
}
