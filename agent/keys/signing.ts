/**
 * The key that signs this gateway's envelopes. No fault of a key stops intake (I9).
 */
import { z } from 'zod';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeSigner } from '../../shared/envelope/frame.ts';
import type { Logger } from '../../shared/log.ts';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import { envelopeSigner } from '../../shared/signing/envelope-signature.ts';
import { openOwnKey, presentKey } from '../../shared/signing/own-key.ts';

export const signingSchema = z
  .strictObject({
    envelopes: z
      .boolean()
      .default(false)
      .describe(
        'Whether envelopes are signed (format version 2). Every router that reads from the providers must be of 0.2.0 or later.',
      ),
    key_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file (PKCS #8) of the Ed25519 private key, for example a credential of systemd. Default: the newest key in <data_dir>/keys, made at the first start.',
      ),
  })
  .describe('The key of this gateway, whose public half the routers know: headgate keys.');

export interface Signing {
  /** The gateway's present key, also where envelopes are not signed. */
  keyId: string;
  /** Null: envelopes leave unsigned, in format version 1. */
  signer: EnvelopeSigner | null;
}

export interface SigningOptions {
  config: { data_dir: string; signing: z.output<typeof signingSchema> };
  entropy: Entropy;
  log: Logger;
}

/** Throws StartRefused where `signing.key_file` holds no usable key. */
export async function openSigning({ config, entropy, log }: SigningOptions): Promise<Signing> {
  const { envelopes } = config.signing;
  const signer = await openOwnKey(config, { entropy, log });
  const { keyId } = signer;
  if (envelopes) log.info({ event: 'keys.signing', keyId });
  else log.warn({ event: 'keys.unsigned', keyId, hint: 'envelopes are not signed: signing.envelopes' });
  return { keyId, signer: envelopes ? envelopeSigner(signer) : null };
}

/** For `config check --connect`: the present key, null without one; makes none. */
export async function presentSigner(config: SigningOptions['config']): Promise<EnvelopeSigner | null> {
  if (!config.signing.envelopes) return null;
  const signer = await presentKey(config);
  return signer === null ? null : envelopeSigner(signer);
}

export function registerSigning(metrics: ObservedMetrics, { signer }: Signing): void {
  metrics.gauge('envelopes_signed', '1 when envelopes are signed, else 0.', [], () => [
    [{}, signer === null ? 0 : 1],
  ]);
}
