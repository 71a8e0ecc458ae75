/** How envelopes of a stream are protected: signed or not, sealed or not. */
import type { EnvelopeSigner } from '../../shared/envelope/frame.ts';
import type { EnvelopeSealer } from '../../shared/envelope/seal.ts';

export interface Protection {
  signer: EnvelopeSigner | null;
  sealer: EnvelopeSealer | null;
}

export const UNPROTECTED: Protection = { signer: null, sealer: null };

/** Throws for a stream that must be sealed while that is not possible: nothing of it leaves in clear. */
export type Protect = (stream: { seal: boolean }) => Protection;

export function protectWith(
  signer: EnvelopeSigner | null,
  sealing: { readonly sealer: EnvelopeSealer | null },
): Protect {
  return ({ seal }) => {
    if (!seal) return { signer, sealer: null };
    const { sealer } = sealing;
    if (sealer === null || signer === null)
      throw new Error('the stream is sealed, and there is no key for it');
    return { signer, sealer };
  };
}
