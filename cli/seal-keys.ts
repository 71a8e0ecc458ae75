/** The work of `headgate keys … --seal`: the private keys of a router that open sealed envelopes. */
import { createPublicKey } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { dataDir as folderSchema } from '../shared/config/common.ts';
import { formatProblems, loadSections } from '../shared/config/load.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { systemEntropy } from '../shared/entropy.ts';
import { EXIT, type ExitCode } from '../shared/exit-codes.ts';
import { newSealKey, SEALING, sealKeyFolder } from '../shared/sealing/seal-key.ts';
import { keepKey, readKeys, removeKey, type StoredKey } from '../shared/signing/key-folder.ts';
import { audited, auditOf } from './audited.ts';
import { becomeOwner } from './folder-owner.ts';
import type { KeyFlags } from './keys.ts';
import { fail, printJson, printLine } from './output.ts';
import { listShown, type Showing, showOne } from './shown-keys.ts';

interface ShownKey {
  keyId: string;
  isNewest: boolean;
  file: string;
  publicKey: string;
}

const sections = z.object({ data_dir: folderSchema() });

export async function newSealKeyFile(flags: KeyFlags): Promise<number> {
  const folder = await locate(flags);
  if (typeof folder === 'number') return folder;
  if (flags.config !== undefined) await makeFolder('data_dir', dirname(folder));
  const log = auditOf(dirname(folder), 'router');
  return audited(log, { action: 'keys.new.seal', target: null }, async () => {
    const shown = shownOf(await keepKey(folder, newSealKey(systemEntropy), SEALING), 0);
    if (flags.json) printJson(shown);
    else {
      printLine(`seal key ${shown.keyId} in ${shown.file}\n${shown.publicKey.trimEnd()}`);
      printLine(
        'A running router reads it within seconds. Then give it to the agents: headgate keys export --seal.',
      );
    }
    return { code: EXIT.ok, detail: { key: shown.keyId } };
  });
}

export async function listSealKeys(flags: KeyFlags): Promise<ExitCode> {
  const keys = await shownKeys(flags);
  return typeof keys === 'number' ? keys : listShown(keys, showing(flags));
}

export async function showSealKey(flags: KeyFlags, keyId: string | undefined): Promise<ExitCode> {
  const keys = await shownKeys(flags);
  return typeof keys === 'number' ? keys : showOne(keys, keyId, showing(flags));
}

function showing({ json }: KeyFlags): Showing<ShownKey> {
  return {
    noun: 'seal key',
    isDefault: ({ isNewest }) => isNewest,
    stateOf: ({ isNewest }) => (isNewest ? 'newest' : 'opens'),
    json,
  };
}

/** Prints the option of agent.yaml with the newest key of this router. */
export async function exportSealKey(flags: KeyFlags): Promise<ExitCode> {
  const keys = await shownKeys(flags);
  if (typeof keys === 'number') return keys;
  const [newest] = keys;
  if (!newest) return fail('there is no seal key: headgate keys new --seal', EXIT.failed);
  const content = { router_seal_keys: [newest.publicKey] };
  if (flags.json) printJson(content);
  else printLine(stringify(content).trimEnd());
  return EXIT.ok;
}

/** Records that were sealed to the removed key alone can be opened by nobody from then on. */
export async function dropSealKey(flags: KeyFlags, keyId: string): Promise<number> {
  const folder = await locate(flags);
  if (typeof folder === 'number') return folder;
  const { keys } = await readKeys(folder, SEALING);
  const found = keys.find(({ signer }) => signer.keyId === keyId);
  if (!found) return fail(`there is no seal key ${keyId}`, EXIT.failed);
  if (found === keys[0])
    return fail(`${keyId} is the newest key, which agents seal to: make another first`, EXIT.failed);
  const log = auditOf(dirname(folder), 'router');
  return audited(log, { action: 'keys.rm.seal', target: keyId }, async () => {
    await removeKey(found);
    return { code: EXIT.ok };
  });
}

/** The newest first; or the exit code after an error message. */
async function shownKeys(flags: KeyFlags): Promise<ShownKey[] | ExitCode> {
  const folder = await locate(flags);
  if (typeof folder === 'number') return folder;
  const { keys, problems } = await readKeys(folder, SEALING);
  for (const problem of problems) fail(problem, EXIT.failed);
  return keys.map(shownOf);
}

function shownOf({ signer, file }: StoredKey, index: number): ShownKey {
  const publicKey = createPublicKey(signer.key).export({ type: 'spki', format: 'pem' });
  return { keyId: signer.keyId, isNewest: index === 0, file, publicKey: String(publicKey) };
}

async function locate({ dataDir, config }: KeyFlags): Promise<string | ExitCode> {
  if ((dataDir === undefined) === (config === undefined))
    return fail('give --data-dir <folder> or --config <router.yaml>', EXIT.usage);
  if (dataDir === undefined) {
    const loaded = loadSections(config ?? '', sections);
    if (!loaded.ok) return fail(formatProblems(loaded.problems), EXIT.config);
    return sealKeyFolder(becomeOwner(loaded.config.data_dir));
  }
  const isFolder = await stat(dataDir).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return fail(`--data-dir: there is no folder ${dataDir}`, EXIT.usage);
  return sealKeyFolder(becomeOwner(dataDir));
}
