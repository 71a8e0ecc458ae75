import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SeqRange } from '../../shared/record.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';

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

export function acceptanceOf(
  provider: string,
  { epoch, stream, records }: Envelope,
  range: SeqRange | null,
  { bytes }: OutboundEnvelope,
): Acceptance {
  const rows = range && { first: range.first, last: range.last };
  return { provider, epoch, stream, range: rows, records: records.length, bytes: bytes.length };
}
