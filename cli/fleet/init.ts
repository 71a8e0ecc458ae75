/** The work of `headgate fleet init`: a key with all roles, and a folder whose first root it signed. */
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { systemClock } from '../../shared/clock.ts';
import { identifier } from '../../shared/config/kinds.ts';
import { errorCode } from '../../shared/config/references.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { EXIT, type ExitCode } from '../../shared/exit-codes.ts';
import { publicKeyOf, type SignedFleetDocument, signFleetDocument } from '../../shared/fleet/sign.ts';
import { keepKey, readKeys } from '../../shared/signing/key-folder.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { type Signer, signerOf } from '../../shared/signing/signature.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import { fail, printJson, printLine } from '../output.ts';
import { PLACES } from './folder.ts';
import { readmeOf } from './readme.ts';

interface InitFlags {
  name: string;
  keys?: string;
  json?: boolean;
}

/** Two fleets of one name differ by this part of their authority. */
const RANDOM_BYTES = 4;
const NAME_CHARS_MAX = 48;

const POLICY = `# The policy of the fleet. docs/reference/policy.md has every option.
version: 1
streams:
  telemetry:
    topics: ["#"]
`;

export async function initFleet(folder: string, { name, keys: asked, json }: InitFlags): Promise<ExitCode> {
  const isName = identifier().max(NAME_CHARS_MAX).safeParse(name).success;
  if (!isName)
    return fail(`--name "${name}": expected 1–${NAME_CHARS_MAX} of a–z, 0–9, "_" or "-"`, EXIT.usage);
  const keyFolder = resolve(asked ?? `${folder.replace(/\/+$/, '')}.keys`);
  const target = resolve(folder);
  if (keyFolder === target || keyFolder.startsWith(`${target}/`))
    return fail('--keys is inside of the fleet folder, which others read: name another folder', EXIT.usage);
  if (!(await isEmptyOrMissing(target)))
    return fail(`${folder} is there and not empty: name another folder`, EXIT.failed);
  const present = await readKeys(keyFolder);
  if (present.keys.length + present.problems.length > 0)
    return fail(`${keyFolder} has keys: name another folder with --keys`, EXIT.failed);
  const key = newPrivateKey(systemEntropy);
  const signer = signerOf(key);
  const authority = `${name}-${Buffer.from(systemEntropy.bytes(RANDOM_BYTES)).toString('hex')}`;
  const root = firstRootOf(authority, signer);
  const prepared = `${target}.${process.pid}.tmp`;
  try {
    await writeFleet(prepared, authority, root);
    const { file } = await keepKey(keyFolder, key);
    await writeFile(join(keyFolder, '.gitignore'), '*\n');
    await rename(prepared, target);
    await syncFolder(dirname(target));
    const made = { folder, authority, root: root.digest, keyId: signer.keyId, keyFile: file };
    if (json) printJson(made);
    else printMade(made);
    return EXIT.ok;
  } finally {
    await rm(prepared, { recursive: true, force: true });
  }
}

function printMade({ folder, authority, root, keyId, keyFile }: Record<string, string>): void {
  printLine(`fleet ${authority} in ${folder}
root 1, ${root}
key ${keyId} in ${keyFile}
Keep the key and a copy of it off this machine: without it no gateway takes a new policy, and records go on.
Next: edit ${folder}/${PLACES.policy}, then headgate fleet verify ${folder}`);
}

/** Threshold 1, all roles in one key: docs/fleet/keys.md has the way to more. */
function firstRootOf(authority: string, signer: Signer): SignedFleetDocument {
  const role = { keys: [signer.keyId], threshold: 1 };
  return signFleetDocument([signer], {
    kind: 'root',
    content: {
      authority,
      term: 1,
      version: 1,
      issued_ms: Math.floor(systemClock.wallMs()),
      keys: { [signer.keyId]: publicKeyOf(signer) },
      roles: { root: role, policy: role, assign: role, ops: role },
    },
  });
}

async function writeFleet(folder: string, authority: string, root: SignedFleetDocument): Promise<void> {
  for (const part of ['', PLACES.roots, PLACES.groups, PLACES.gateways, PLACES.signed])
    await mkdir(join(folder, part), { recursive: true });
  const files: Readonly<Record<string, string>> = {
    [PLACES.policy]: POLICY,
    'README.md': readmeOf(authority, root.digest),
    [join(PLACES.roots, '1.json')]: `${JSON.stringify(root.envelope, null, 2)}\n`,
  };
  for (const [name, content] of Object.entries(files)) {
    const handle = await open(join(folder, name), 'wx');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  for (const part of [PLACES.roots, '']) await syncFolder(join(folder, part));
}

async function isEmptyOrMissing(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return true;
    return false; // A file, or a folder that this user may not read.
  }
}
