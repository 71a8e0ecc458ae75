/**
 * `<data_dir>/keys`: the Ed25519 private keys of a gateway or a router, a PEM file (PKCS #8, mode 0600) for
 * each. The file with the highest number is the newest key, which signs. The others remain until they are
 * removed. No message quotes a file.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorText } from '../log.ts';
import { syncFolder } from '../sync-folder.ts';
import { type Signer, signerOf } from './signature.ts';

/** Longer files are no keys (I10). */
const FILE_BYTES_MAX = 4096;
/** Further keys of a folder are not read (I10). */
const KEYS_MAX = 16;
const NAME = /^(\d{4,9})-([0-9a-f]{16})\.pem$/;

/** The kind of key in the files of a folder. */
export interface KeyKind {
  /** For messages, with its article. */
  name: string;
  /** Throws RangeError for a key of another kind. */
  of(key: KeyObject): Signer;
}

const SIGNING: KeyKind = { name: 'an Ed25519 private key', of: signerOf };

export interface StoredKey {
  file: string;
  number: number;
  signer: Signer;
}

export interface KeyReading {
  /** The newest first. */
  keys: StoredKey[];
  /** Files that hold no usable key, each with the reason. */
  problems: string[];
}

export function keyFolder(dataDir: string): string {
  return join(dataDir, 'keys');
}

/** Never rejects; a missing folder holds no keys. */
export async function readKeys(folder: string, kind = SIGNING): Promise<KeyReading> {
  const reading: KeyReading = { keys: [], problems: [] };
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') reading.problems.push(`${folder}: ${codeOf(error)}`);
    return reading;
  }
  const numbered = names.flatMap((name) => {
    const number = Number(NAME.exec(name)?.[1] ?? Number.NaN);
    return Number.isNaN(number) ? [] : [{ name, number }];
  });
  numbered.sort((a, b) => b.number - a.number || (a.name < b.name ? 1 : -1));
  for (const { name, number } of numbered.slice(0, KEYS_MAX)) {
    const file = join(folder, name);
    const read = await readKeyFile(file, kind);
    if ('problem' in read) reading.problems.push(`${file}: ${read.problem}`);
    else reading.keys.push({ file, number, signer: read.signer });
  }
  return reading;
}

/** Reads one private key. Never rejects. */
export async function readKeyFile(
  file: string,
  kind = SIGNING,
): Promise<{ signer: Signer } | { problem: string }> {
  let pem: string;
  try {
    if ((await stat(file)).size > FILE_BYTES_MAX) return { problem: 'too long for a key' };
    pem = await readFile(file, 'utf8');
  } catch (error) {
    return { problem: codeOf(error) };
  }
  try {
    return { signer: kind.of(createPrivateKey(pem)) };
  } catch {
    // The error of a parser may quote what it parses.
    return { problem: `not ${kind.name} in PEM (PKCS #8)` };
  }
}

/** Keeps the key as the newest of the folder, which is made. Rejects when the system refuses. */
export async function keepKey(folder: string, key: KeyObject, kind = SIGNING): Promise<StoredKey> {
  await mkdir(folder, { mode: 0o700, recursive: true });
  const signer = kind.of(key);
  const present = (await readdir(folder)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
  const number = Math.max(0, ...present) + 1;
  const file = join(folder, `${String(number).padStart(4, '0')}-${signer.keyId}.pem`);
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(key.export({ type: 'pkcs8', format: 'pem' }));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(folder);
  return { file, number, signer };
}

/** Removes a key for good. Rejects when the system refuses. */
export async function removeKey({ file }: StoredKey): Promise<void> {
  await unlink(file);
  await syncFolder(dirname(file));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : errorText(error);
}
