/**
 * The key that signs this gateway's envelopes: that of `signing.key_file`, or the newest of the data folder.
 * Without any, a new one is made, so that a first start needs no step before it. No fault of a key stops
 * intake (I9).
 */
import { z } from 'zod';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeSigner } from '../../shared/envelope/frame.ts';
import { EXIT } from '../../shared/exit-codes.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import { envelopeSigner } from '../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { type Signer, signerOf } from '../../shared/signing/signature.ts';
import { StartRefused } from '../../shared/start-refused.ts';
import { keepKey, keyFolder, readKeyFile, readKeys } from './key-folder.ts';

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

interface SigningOptions {
  config: { data_dir: string; signing: z.output<typeof signingSchema> };
  entropy: Entropy;
  log: Logger;
}

/** Throws StartRefused where `signing.key_file` holds no usable key. */
export async function openSigning({ config, entropy, log }: SigningOptions): Promise<Signing> {
  const { envelopes, key_file: file } = config.signing;
  const signer =
    file === undefined ? await ownKey(keyFolder(config.data_dir), entropy, log) : await givenKey(file);
  const { keyId } = signer;
  if (envelopes) log.info({ event: 'keys.signing', keyId });
  else log.warn({ event: 'keys.unsigned', keyId, hint: 'envelopes are not signed: signing.envelopes' });
  return { keyId, signer: envelopes ? envelopeSigner(signer) : null };
}

/** For `config check --connect`: the present key, null without one; makes none. */
export async function presentSigner(config: SigningOptions['config']): Promise<EnvelopeSigner | null> {
  const { envelopes, key_file: file } = config.signing;
  if (!envelopes) return null;
  if (file !== undefined) return envelopeSigner(await givenKey(file));
  const [newest] = (await readKeys(keyFolder(config.data_dir))).keys;
  return newest ? envelopeSigner(newest.signer) : null;
}

async function givenKey(file: string): Promise<Signer> {
  const read = await readKeyFile(file);
  if ('signer' in read) return read.signer;
  throw new StartRefused(`signing.key_file: ${file}: ${read.problem}`, EXIT.config);
}

async function ownKey(folder: string, entropy: Entropy, log: Logger): Promise<Signer> {
  const { keys, problems } = await readKeys(folder);
  for (const problem of problems) log.error({ event: 'keys.unusable', problem });
  const [newest] = keys;
  if (newest) return newest.signer;
  const key = newPrivateKey(entropy);
  try {
    const { file, signer } = await keepKey(folder, key);
    log.info({ event: 'keys.made', keyId: signer.keyId, file });
    return signer;
  } catch (error) {
    // A disk that fails now may be back at the next start.
    log.error({ event: 'keys.not_kept', problem: errorText(error) });
    return signerOf(key);
  }
}

export function registerSigning(metrics: ObservedMetrics, { signer }: Signing): void {
  metrics.gauge('envelopes_signed', '1 when envelopes are signed, else 0.', [], () => [
    [{}, signer === null ? 0 : 1],
  ]);
}
