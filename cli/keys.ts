/** The work of `headgate keys`: keys of a gateway or a router, in `<data_dir>/keys` or `signing.key_file`. */
import { createPublicKey } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { signingSchema } from '../agent/keys/signing.ts';
import { dataDir as folderSchema } from '../shared/config/common.ts';
import { identifier } from '../shared/config/kinds.ts';
import { formatProblems, loadSections } from '../shared/config/load.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import {
  keepKey,
  keyFolder,
  readKeyFile,
  readKeys,
  removeKey,
  type StoredKey,
} from '../shared/signing/key-folder.ts';
import { newPrivateKey } from '../shared/signing/private-key.ts';
import type { Signer } from '../shared/signing/signature.ts';
import { audited, auditOf } from './audited.ts';
import { becomeOwner } from './folder-owner.ts';
import { fail, printJson, printLine } from './output.ts';
import { listShown, type Showing, showOne } from './shown-keys.ts';

export interface KeyFlags {
  dataDir?: string;
  config?: string;
  gateway?: string;
  router?: boolean;
  /** The keys of a router that open seals: cli/seal-keys.ts. */
  seal?: boolean;
  json?: boolean;
}

type Program = 'agent' | 'router';

interface Place {
  folder: string;
  /** Null where only the folder is known. */
  program: Program | null;
  gateway: string | null;
  /** `signing.key_file`, which signs in place of the folder's keys. */
  keyFile: string | null;
}

interface ShownKey {
  keyId: string;
  signs: boolean;
  file: string;
  publicKey: string;
}

/** A router.yaml has no `gateway`. */
const sections = z.object({
  gateway: identifier().optional(),
  data_dir: folderSchema(),
  signing: z.object({ key_file: signingSchema.shape.key_file }).prefault({}),
});

const REGISTER: Readonly<Record<Program, string>> = {
  agent: 'Register it at the routers (headgate keys export), then restart the agent: it signs from then on.',
  router:
    'Give it to the agents (headgate keys export, receipts.router_keys_file), then restart the router: it signs from then on.',
};

export async function newKey(flags: KeyFlags): Promise<number> {
  const place = await locate(flags);
  if (typeof place === 'number') return place;
  if (place.keyFile !== null) return fail('signing.key_file is set: that key signs', EXIT.failed);
  if (flags.config !== undefined) await makeFolder('data_dir', dirname(place.folder));
  const log = auditOf(dirname(place.folder), place.program ?? 'agent');
  return audited(log, { action: 'keys.new', target: null }, async () => {
    const key = await keepKey(place.folder, newPrivateKey(systemEntropy));
    const shown = shownOf(key.signer, key.file, true);
    if (flags.json) printJson(shown);
    else {
      printLine(`key ${shown.keyId} in ${key.file}\n${shown.publicKey.trimEnd()}`);
      for (const text of place.program === null ? Object.values(REGISTER) : [REGISTER[place.program]])
        printLine(text);
    }
    return { code: EXIT.ok, detail: { key: shown.keyId } };
  });
}

export async function listKeys(flags: KeyFlags): Promise<ExitCode> {
  const keys = await shownKeys(flags);
  return typeof keys === 'number' ? keys : listShown(keys, showing(flags));
}

export async function showKey(flags: KeyFlags, keyId: string | undefined): Promise<ExitCode> {
  const keys = await shownKeys(flags);
  return typeof keys === 'number' ? keys : showOne(keys, keyId, showing(flags));
}

function showing({ json }: KeyFlags): Showing<ShownKey> {
  return {
    noun: 'key',
    isDefault: ({ signs }) => signs,
    stateOf: ({ signs }) => (signs ? 'signs' : 'kept'),
    json,
  };
}

/**
 * Prints the public keys: of a gateway, as its entry in the router's `gateways_file`; of a router, as the
 * agents' `router_keys_file`.
 */
export async function exportKeys(flags: KeyFlags): Promise<ExitCode> {
  const place = await locate(flags);
  if (typeof place === 'number') return place;
  const gateway = flags.gateway ?? place.gateway;
  const isRouter = flags.router === true || place.program === 'router';
  if (isRouter && gateway !== null) return fail('the keys are a gateway’s: leave out --router', EXIT.usage);
  if (!isRouter && gateway === null) return fail('give --gateway <name>, --router, or --config', EXIT.usage);
  const keys = await shownKeys(flags);
  if (typeof keys === 'number') return keys;
  if (keys.length === 0) return fail('there is no key: headgate keys new', EXIT.failed);
  const publicKeys = keys.map(({ publicKey }) => publicKey);
  if (gateway !== null) {
    const content = { gateways: { [gateway]: { public_keys: publicKeys } } };
    if (flags.json) printJson(content);
    else printLine(stringify(content).trimEnd());
  } else if (flags.json) printJson({ router_keys: publicKeys });
  else printLine(publicKeys.join('').trimEnd());
  return EXIT.ok;
}

export async function dropKey(flags: KeyFlags, keyId: string): Promise<number> {
  const place = await locate(flags);
  if (typeof place === 'number') return place;
  const { keys } = await readKeys(place.folder);
  const found = keys.find(({ signer }) => signer.keyId === keyId);
  if (!found) return fail(`there is no key ${keyId}`, EXIT.failed);
  if (found === keys[0] && place.keyFile === null)
    return fail(`${keyId} is the newest key, which signs: make another first`, EXIT.failed);
  const log = auditOf(dirname(place.folder), place.program ?? 'agent');
  return audited(log, { action: 'keys.rm', target: keyId }, async () => {
    await removeKey(found);
    return { code: EXIT.ok };
  });
}

/** The keys, the signing one first; or the exit code after an error message. */
async function shownKeys(flags: KeyFlags): Promise<ShownKey[] | ExitCode> {
  const place = await locate(flags);
  if (typeof place === 'number') return place;
  const { folder, keyFile } = place;
  const { keys, problems } = await readKeys(folder);
  for (const problem of problems) fail(problem, EXIT.failed);
  const stored = keys.map(({ signer, file }: StoredKey, i) =>
    shownOf(signer, file, keyFile === null && i === 0),
  );
  if (keyFile === null) return stored;
  const given = await readKeyFile(keyFile);
  if ('problem' in given) return fail(`signing.key_file: ${keyFile}: ${given.problem}`, EXIT.config);
  return [shownOf(given.signer, keyFile, true), ...stored];
}

function shownOf({ key, keyId }: Signer, file: string, signs: boolean): ShownKey {
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'pem' });
  return { keyId, signs, file, publicKey: String(publicKey) };
}

async function locate({ dataDir, config }: KeyFlags): Promise<Place | ExitCode> {
  if ((dataDir === undefined) === (config === undefined))
    return fail('give --data-dir <folder> or --config <file>', EXIT.usage);
  if (dataDir !== undefined) {
    const isFolder = await stat(dataDir).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) return fail(`--data-dir: there is no folder ${dataDir}`, EXIT.usage);
    return { folder: keyFolder(becomeOwner(dataDir)), program: null, gateway: null, keyFile: null };
  }
  // Nothing else of the file is needed, least of all the secrets of its providers.
  const loaded = loadSections(config ?? '', sections);
  if (!loaded.ok) return fail(formatProblems(loaded.problems), EXIT.config);
  const { data_dir: folder, gateway = null, signing } = loaded.config;
  const program = gateway === null ? 'router' : 'agent';
  return { folder: keyFolder(becomeOwner(folder)), program, gateway, keyFile: signing.key_file ?? null };
}
