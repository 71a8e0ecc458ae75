/**
 * Writes the agent.yaml and router.yaml of `headgate clouds --dir`. The clouds have new ports, keys and
 * certificates at every start; the rest of an existing file stays unchanged, comments included.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isMap, isSeq, parseDocument, stringify, type YAMLMap } from 'yaml';
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
): Promise<Readonly<Record<'agent.yaml' | 'router.yaml', Written>>> {
  const agent = {
    gateway: GATEWAY,
    data_dir: join(dir, 'agent'),
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: 1883 }] },
    providers: clouds.map((cloud) => cloud.agentConfig(GATEWAY)),
    // A fixed order, so that a newcomer knows which cloud is in use.
    policy: {
      streams: { telemetry: { topics: ['#'], preferred_providers: clouds.map(({ name }) => name) } },
    },
  };
  const router = {
    data_dir: join(dir, 'router'),
    sources: clouds.map((cloud) => cloud.routerConfig()),
    feeds: [{ type: 'ndjson', name: 'stdout', file: '-' }],
  };
  return {
    'agent.yaml': await write(join(dir, 'agent.yaml'), agent, 'providers', agent.providers),
    'router.yaml': await write(join(dir, 'router.yaml'), router, 'sources', router.sources),
  };
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
