/**
 * Checks who signed a message, before anything of it is unpacked. A source that accepts `signed` takes only
 * envelopes that a registered key of the gateway in the frame has signed. A source that accepts `any` also
 * takes unsigned envelopes and those of unknown keys, unless the gateway is registered with `accept: signed`;
 * a wrong signature it refuses too.
 */
import type { KeyObject } from 'node:crypto';
import { EnvelopeError } from '../../shared/envelope/error.ts';
import { type OpenedFrame, type OuterFrame, openFrame } from '../../shared/envelope/frame.ts';
import { isSignedBy } from '../../shared/signing/envelope-signature.ts';
import type { Accept } from '../sources/accept.ts';
import type { Delivery } from '../sources/source.ts';
import { MESSAGE_BYTES_MAX, type Refusal } from './refusal.ts';

/** Why an envelope counts as from anybody. */
export type Unverified = 'unsigned' | 'unknown-key';

export type Checked =
  /** A registered key of `gateway` has signed it. */
  | { kind: 'verified'; gateway: string }
  | { kind: 'unverified'; why: Unverified }
  | { kind: 'refused'; refusal: Refusal }
  /** The keys are not known yet. */
  | { kind: 'unknown' };

/** The registered keys of gateways. */
export interface KnownKeys {
  /** Whether the keys were ever read. */
  readonly isRead: boolean;
  /** A gateway's key by its id; null for one that is not registered. */
  signingKey(gateway: string, keyId: string): KeyObject | null;
  /** The registration's rule for unsigned envelopes of the gateway; null without one. */
  acceptOf(gateway: string): Accept | null;
}

export class Signatures {
  readonly #accept: ReadonlyMap<string, Accept>;
  readonly #keys: KnownKeys | null;

  /** `accept`: by source. Without `keys`, no envelope is verified. */
  constructor(options: { accept: ReadonlyMap<string, Accept>; keys: KnownKeys | null }) {
    this.#accept = options.accept;
    this.#keys = options.keys;
  }

  /** Why an unverified envelope of this gateway is refused whichever source brings it; null where not. */
  refusalOf(gateway: string): Refusal | null {
    if (this.#keys?.acceptOf(gateway) !== 'signed') return null;
    return { reason: 'unsigned', detail: `${gateway} is registered with accept: signed` };
  }

  /**
   * Whether a receipt for the gateway may count records that no verified envelope brought; null where the
   * ledger decides, by whether the gateway has signed.
   */
  unverifiedCount(gateway: string): boolean | null {
    const registered = this.#keys?.acceptOf(gateway) ?? null;
    if (registered !== null) return registered === 'any';
    const isSigned = this.#accept.size > 0 && [...this.#accept.values()].every((own) => own === 'signed');
    return isSigned ? false : null;
  }

  /** Never rejects. */
  async check({ source, bytes }: Pick<Delivery, 'source' | 'bytes'>): Promise<Checked> {
    const takesAny = this.#accept.get(source) !== 'signed';
    if (bytes.byteLength > MESSAGE_BYTES_MAX) return refused('limit', `${bytes.byteLength} bytes`);
    let frame: OpenedFrame;
    try {
      frame = openFrame(bytes);
    } catch (error) {
      if (error instanceof EnvelopeError) return refused(error.code, error.message);
      throw error;
    }
    const { outer } = frame;
    if (this.#keys !== null && !this.#keys.isRead) return { kind: 'unknown' };
    if (outer === null)
      return takesAny
        ? { kind: 'unverified', why: 'unsigned' }
        : refused('unsigned', 'format version 1 has no signature; the source accepts signed envelopes');
    return this.#checkSigned(outer, frame, takesAny);
  }

  async #checkSigned(outer: OuterFrame, frame: OpenedFrame, takesAny: boolean): Promise<Checked> {
    const { gateway, keyId } = outer;
    const key = this.#keys?.signingKey(gateway, keyId) ?? null;
    if (key === null)
      return takesAny
        ? { kind: 'unverified', why: 'unknown-key' }
        : refused('unknown-key', `key ${keyId} is not registered for ${gateway}`);
    if (await isSignedBy(key, frame)) return { kind: 'verified', gateway };
    return refused('signature', `not signed by key ${keyId} of ${gateway}`);
  }
}

function refused(reason: Refusal['reason'], detail: string): Checked {
  return { kind: 'refused', refusal: { reason, detail } };
}
