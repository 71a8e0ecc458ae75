/**
 * Takes the mount in argv[2], which shows the folder in argv[3], away under a store that is at work, and puts
 * it back. Prints as one JSON line what states the store went through, how it refused meanwhile, what lay in
 * the bare folder, and which records are there afterwards.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../../agent/store/types.ts';
import { contents, record, storeOn, untilState } from '../agent/store/fixture.ts';

const [mount = '', disk = ''] = process.argv.slice(2);
const { store, lines } = storeOn(join(mount, 'buffer.db'));

await store.start();
for (const text of ['a', 'b', 'c']) await store.append(record(text));
// Open files go on; the path leads elsewhere.
execFileSync('umount', ['--lazy', mount]);
await untilState(store, 'missing');
const refused = await store.append(record('refused')).then(
  () => 'taken',
  (error: unknown) => (error instanceof StoreError ? `${error.code} ${error.disk}` : String(error)),
);
const bare = readdirSync(mount);
execFileSync('mount', ['--bind', disk, mount]);
await untilState(store, 'ok');
await store.append(record('d'));
const found: string[] = [];
for (const { epoch } of store.epochs()) found.push(...(await contents(store, epoch)).values());
found.push(...(await contents(store, store.epoch)).values());
await store.stop();
const states = lines.filter(({ event }) => event === 'store.state').map(({ state }) => state);
console.log(JSON.stringify({ states, refused, bare, found: [...new Set(found)].sort() }));
