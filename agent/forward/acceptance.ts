import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { SeqRange } from '../../shared/record.ts';
import type { OutboundEnvelope } from '../providers/publisher.ts';

/** The acceptance of an envelope by a provider; history and metrics learn of it by this one event. */
export interface Acceptance {
  provider: string;
  epoch: string;
  stream: string;
  /** The records of the envelope; null for an envelope with only gaps or the end of an epoch. */
  range: SeqRange | null;
  records: number;
  /** Size of the encoded envelope. */
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
