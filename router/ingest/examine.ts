/**
 * Checks whether a message is an envelope for the ledger: it decodes, it is from the gateway that the
 * provider authenticated, and every engine can store it. Any other message is refused with a reason; the
 * check never throws (I9).
 */
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { EnvelopeError, type EnvelopeErrorCode } from '../../shared/envelope/error.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits } from '../../shared/envelope/limits.ts';
import { errorText } from '../../shared/log.ts';
import { gatewayOf, type Identities } from '../sources/identities.ts';
import type { Delivery } from '../sources/source.ts';

/** The reason of a dead letter, and a metric label. */
export type RefusalReason =
  | EnvelopeErrorCode
  /** The envelope names another gateway than the one that the provider authenticated. */
  | 'foreign-gateway'
  /** The source accepts signed envelopes, and this one is not. */
  | 'unsigned'
  /** The source accepts signed envelopes, and the key is not registered for the gateway. */
  | 'unknown-key'
  /** The signature is not that of the key. */
  | 'signature'
  /** The queue's message is not a valid output of the IoT rule; retried once it can be read. */
  | 'rule'
  /** A text contains U+0000. */
  | 'nul'
  /** The ledger's engine can never store the envelope. */
  | 'refused'
  /** Decoding failed unexpectedly: a bug. */
  | 'internal';

export interface Refusal {
  reason: RefusalReason;
  detail: string;
}

/** Larger than the limit of any provider (Pub/Sub: 10 MB). */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export function examine(
  { bytes, authenticatedGateway: authenticated, problem }: Delivery,
  identities: Identities = {},
  limits: EnvelopeLimits = ENVELOPE_LIMITS,
): Envelope | Refusal {
  if (problem) return problem;
  if (bytes.byteLength > MESSAGE_BYTES_MAX) return { reason: 'limit', detail: `${bytes.byteLength} bytes` };
  try {
    const envelope = decodeEnvelope(bytes, limits);
    if (hasNul(envelope)) return { reason: 'nul', detail: 'a name or topic holds U+0000' };
    if (authenticated === null || gatewayOf(authenticated, identities) === envelope.gateway) return envelope;
    const detail = `${authenticated} sent an envelope of ${envelope.gateway}`;
    return { reason: 'foreign-gateway', detail };
  } catch (error) {
    return { reason: error instanceof EnvelopeError ? error.code : 'internal', detail: errorText(error) };
  }
}

/**
 * MQTT forbids U+0000 in texts (3.1.1, 1.5.3), and PostgreSQL cannot store it: such an envelope would be
 * redelivered for ever.
 */
function hasNul({ gateway, epoch, stream, clock, records }: Envelope): boolean {
  return (
    [gateway, epoch, stream, clock.bootId].some((text) => text.includes('\0')) ||
    records.some(({ device, topic }) => device.includes('\0') || topic.includes('\0'))
  );
}
