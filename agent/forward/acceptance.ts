import type { SeqRange } from '../../shared/record.ts';

/** A provider accepted an envelope: the one event that history is told. */
export interface Acceptance {
  provider: string;
  epoch: string;
  stream: string;
  /** The records in it; null for an envelope with nothing but gaps or the end of an epoch. */
  range: SeqRange | null;
  records: number;
  /** Of the encoded envelope. */
  bytes: number;
}
