/**
 * Writes the agent.yaml and router.yaml of `headgate clouds --dir`. The clouds have new ports, keys and
 * certificates at every start; the rest of an existing file stays unchanged, comments included.
 */
import { createPublicKey } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isSeq, parseDocument, stringify, type YAMLMap } from 'yaml';
import type { Entropy } from '../shared/entropy.ts';
import { newPrivateKey } from '../shared/signing/private-key.ts';
import type { Cloud } from './cloud.ts';

/** `left`: the file is not YAML, or not a file of providers or sources. */
export type Written = 'made' | 'updated' | 'left';

const GATEWAY = 'gw-1';

/** The fields of an entry that change at each start of the clouds. */
const CHANGING: readonly string[] = ['endpoint', 'queue_url', 'ca_file', 'insecure', 'credentials'];

/** Writes both files into `dir`, readable only by their owner. */
export async function writeConfigs(
  dir: string,
  clouds: readonly Cloud[],
  entropy: Entropy,
): Promise<Readonly<Record<'agent.yaml' | 'router.yaml', Written>>> {
  const keys = await writeKeys(dir, entropy);
  const agent = {
    gateway: GATEWAY,
    data_dir: join(dir, 'agent'),
    signing: { envelopes: true, key_file: keys.gateway.keyFile },
    receipts: { accept: 'signed', router_keys_file: keys.routerKeysFile },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: 1883 }] },
    providers: clouds.map((cloud) => cloud.agentConfig(GATEWAY)),
    // A fixed order, so that a newcomer knows which cloud is in use.
    policy: {
      streams: { telemetry: { topics: ['#'], preferred_providers: clouds.map(({ name }) => name) } },
    },
  };
  const router = {
    data_dir: join(dir, 'router'),
    gateways_file: keys.gatewaysFile,
    signing: { key_file: keys.router.keyFile },
    receipts: { unsigned_copy: false },
    sources: clouds.map((cloud) => ({ ...cloud.routerConfig(), accept: 'signed' })),
    feeds: [{ type: 'ndjson', name: 'stdout', file: '-' }],
  };
  return {
    'agent.yaml': await write(join(dir, 'agent.yaml'), agent, 'providers', agent.providers),
    'router.yaml': await write(join(dir, 'router.yaml'), router, 'sources', router.sources),
  };
}

interface Keys {
  /** Private keys. */
  gateway: { keyFile: string };
  router: { keyFile: string };
  /** The public halves: for the router, and for the agent. */
  gatewaysFile: string;
  routerKeysFile: string;
}

/** The keys of both, kept from an earlier start, each with a file of its public half for the other. */
async function writeKeys(dir: string, entropy: Entropy): Promise<Keys> {
  const gatewaysFile = join(dir, 'gateways.yaml');
  const routerKeysFile = join(dir, 'router-keys.pem');
  const gateways = (pem: string): string => stringify({ gateways: { [GATEWAY]: { public_keys: [pem] } } });
  return {
    gateway: { keyFile: await writeKey(join(dir, 'gateway.key'), entropy, gatewaysFile, gateways) },
    router: { keyFile: await writeKey(join(dir, 'router.key'), entropy, routerKeysFile, (pem) => pem) },
    gatewaysFile,
    routerKeysFile,
  };
}

async function writeKey(
  keyFile: string,
  entropy: Entropy,
  publicFile: string,
  publicText: (pem: string) => string,
): Promise<string> {
  if ((await readFile(keyFile).catch(() => null)) !== null) return keyFile;
  const key = newPrivateKey(entropy);
  const publicKey = String(createPublicKey(key).export({ type: 'spki', format: 'pem' }));
  await writeFile(keyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(publicFile, publicText(publicKey), { mode: 0o600 });
  return keyFile;
}

type Entry = Readonly<Record<string, unknown>>;

async function write(
  file: string,
  fresh: object,
  list: 'providers' | 'sources',
  entries: readonly Entry[],
): Promise<Written> {
  const present = await readFile(file, 'utf8').catch(() => null);
  if (present === null) {
    await writeFile(file, stringify(fresh), { mode: 0o600 });
    return 'made';
  }
  const document = parseDocument(present);
  if (document.errors.length > 0 || !isSeq(document.get(list))) return 'left';
  for (const entry of entries) refresh(document, list, entry);
  await writeFile(file, String(document));
  await chmod(file, 0o600);
  return 'updated';
}

/** Sets the changing fields of the entry with this name; if the user removed the entry, it stays removed. */
function refresh(document: Document, list: string, entry: Entry): void {
  const present = document.get(list);
  if (!isSeq(present)) return;
  const own = present.items.find(
    (item): item is YAMLMap => isMap(item) && item.get('name') === entry['name'],
  );
  if (own === undefined) return;
  for (const field of CHANGING) {
    if (field in entry) own.set(field, document.createNode(entry[field]));
    else own.delete(field);
  }
}
