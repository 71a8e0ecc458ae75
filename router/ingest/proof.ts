/** The facts about a message before anything of it is unpacked: its signer, and the key of its seal. */
import type { Delivery } from '../sources/source.ts';
import type { Seals, Unopened } from './seals.ts';
import type { Signatures, Unverified } from './signatures.ts';

export interface Proof {
  kind: 'checked';
  /** The gateway whose registered key signed it; null when none is known to have. */
  signedBy: string | null;
  /** Why none is; null also when no signature is checked. */
  why: Unverified | null;
  /** Null for an envelope in clear. */
  contentKey: Uint8Array | null;
}

export const UNCHECKED: Proof = { kind: 'checked', signedBy: null, why: null, contentKey: null };

/** The signature, and then the seal. Never rejects. */
export async function proofOf(
  delivery: Delivery,
  signatures: Pick<Signatures, 'check'>,
  seals: Pick<Seals, 'open'> | null,
): Promise<Proof | Unopened> {
  const signature = await signatures.check(delivery);
  if (signature.kind === 'unknown' || signature.kind === 'refused') return signature;
  const isVerified = signature.kind === 'verified';
  const seal = (await seals?.open(delivery.bytes, isVerified)) ?? { kind: 'none' };
  if (seal.kind === 'unknown' || seal.kind === 'refused') return seal;
  return {
    kind: 'checked',
    signedBy: isVerified ? signature.gateway : null,
    why: isVerified ? null : signature.why,
    contentKey: seal.kind === 'opened' ? seal.contentKey : null,
  };
}
