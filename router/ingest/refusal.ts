/**
 * Why a message is no envelope for the ledger: it does not decode, it is from another gateway than the one
 * that the provider authenticated, or an engine cannot store it.
 */
import type { Envelope } from '../../shared/envelope/envelope.ts';
import type { EnvelopeErrorCode } from '../../shared/envelope/error.ts';

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
  /** Only a verified envelope may say so, of a stream that its gateway signs. */
  | 'unproven'
  /** An unverified envelope jumps ahead, or gives up, more than the bound. */
  | 'implausible'
  /** The stream is taken only sealed, and this is in clear. */
  | 'unsealed'
  /** The queue's message is not a valid output of the IoT rule; retried once it can be read. */
  | 'rule'
  /**
   * Its gateway is over a quota, and the source has no place where the message could wait; or its stream has
   * as many separate ranges as it may.
   */
  | 'quota'
  /** A text contains U+0000. */
  | 'nul'
  /** The ledger's engine can never store the envelope. */
  | 'refused'
  /** Decoding failed unexpectedly, or ended its thread twice: a bug. */
  | 'internal';

export interface Refusal {
  reason: RefusalReason;
  detail: string;
}

/** Larger than the limit of any provider (Pub/Sub: 10 MB). */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Null when the source does not authenticate, or `gateway`, which sends as `name`, is the envelope's. */
export function foreign(name: string | null, gateway: string | null, envelope: Envelope): Refusal | null {
  if (gateway === null || gateway === envelope.gateway) return null;
  return { reason: 'foreign-gateway', detail: `${name} sent an envelope of ${envelope.gateway}` };
}
