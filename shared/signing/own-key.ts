/**
 * The key with which a gateway or a router signs: that of an option, or the newest of the data folder.
 * Without any, a new one is made, so that a first start needs no step before it.
 */
import type { Entropy } from '../entropy.ts';
import { EXIT } from '../exit-codes.ts';
import { errorText, type Logger } from '../log.ts';
import { StartRefused } from '../start-refused.ts';
import { keepKey, keyFolder, readKeyFile, readKeys } from './key-folder.ts';
import { newPrivateKey } from './private-key.ts';
import { type Signer, signerOf } from './signature.ts';

export interface KeyPlace {
  data_dir: string;
  signing: { key_file?: string | undefined };
}

/** Throws StartRefused where `signing.key_file` holds no usable key. */
export async function openOwnKey(
  config: KeyPlace,
  { entropy, log }: { entropy: Entropy; log: Logger },
): Promise<Signer> {
  const { key_file: file } = config.signing;
  return file === undefined ? ownKey(keyFolder(config.data_dir), entropy, log) : givenKey(file);
}

/** The present key, null without one; makes none. Throws as {@link openOwnKey}. */
export async function presentKey(config: KeyPlace): Promise<Signer | null> {
  const { key_file: file } = config.signing;
  if (file !== undefined) return givenKey(file);
  const [newest] = (await readKeys(keyFolder(config.data_dir))).keys;
  return newest?.signer ?? null;
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
