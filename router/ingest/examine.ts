/**
 * Whether a message is an envelope that may go to the ledger: it decodes, is of the gateway that the provider
 * authenticated, and every engine can store it. What is not is refused with a reason, and never throws (I9).
 */
import { decodeEnvelope, EnvelopeError, type EnvelopeErrorCode } from '../../shared/envelope/codec.ts';
import type { Envelope } from '../../shared/envelope/envelope.ts';
import { errorText } from '../../shared/log.ts';
import type { Delivery } from '../sources/source.ts';

/** The dead letter's reason and a metric label. */
export type RefusalReason =
  | EnvelopeErrorCode
  /** The provider authenticated another gateway than the one the envelope names. */
  | 'foreign-gateway'
  /** The queue's message is not what the IoT rule should put out; retried once it can be read. */
  | 'rule'
  /** A text with U+0000. */
  | 'nul'
  /** The ledger's engine can never store it. */
  | 'refused'
  /** Decoding failed in a way that it should not: a bug. */
  | 'internal';

export interface Refusal {
  reason: RefusalReason;
  detail: string;
}

/** More than any provider takes (Pub/Sub: 10 MB). */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Names that the provider authenticates, each with the gateway it may send for, where the two differ. */
export type Identities = Readonly<Record<string, string>>;

export function examine(
  { bytes, authenticatedGateway: authenticated, problem }: Delivery,
  identities: Identities = {},
): Envelope | Refusal {
  if (problem) return problem;
  if (bytes.byteLength > MESSAGE_BYTES_MAX) return { reason: 'limit', detail: `${bytes.byteLength} bytes` };
  try {
    const envelope = decodeEnvelope(bytes);
    if (hasNul(envelope)) return { reason: 'nul', detail: 'a name or topic holds U+0000' };
    if (authenticated === null || gatewayOf(authenticated, identities) === envelope.gateway) return envelope;
    const detail = `${authenticated} sent an envelope of ${envelope.gateway}`;
    return { reason: 'foreign-gateway', detail };
  } catch (error) {
    return { reason: error instanceof EnvelopeError ? error.code : 'internal', detail: errorText(error) };
  }
}

/** The gateway that an authenticated name sends for: of the same name, unless `identities` has another. */
export function gatewayOf(authenticated: string, identities: Identities): string {
  return Object.hasOwn(identities, authenticated)
    ? (identities[authenticated] ?? authenticated)
    : authenticated;
}

/**
 * MQTT allows U+0000 in no text (3.1.1, 1.5.3), and PostgreSQL can store none: such an envelope would come
 * again for ever.
 */
function hasNul({ gateway, epoch, stream, clock, records }: Envelope): boolean {
  return (
    [gateway, epoch, stream, clock.bootId].some((text) => text.includes('\0')) ||
    records.some(({ device, topic }) => device.includes('\0') || topic.includes('\0'))
  );
}
