/**
 * Starts a store on the mount in argv[2] while it is read-only: once without a buffer on it, once with one.
 * Prints as one JSON line what states the two went through, how they refused, and which records are there in
 * the end.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Store } from '../../agent/store/store.ts';
import { StoreError } from '../../agent/store/types.ts';
import { contents, record, storeOn, untilOpen } from '../agent/store/fixture.ts';

const [mount = ''] = process.argv.slice(2);
const remount = (how: 'ro' | 'rw'): void => {
  execFileSync('mount', ['-o', `remount,${how}`, mount]);
};

async function life(text: string): Promise<{ store: Store; states: unknown[]; refused: string }> {
  const { store, lines } = storeOn(join(mount, 'data', 'buffer.db'), { reserveBytes: 2 ** 20 });
  remount('ro');
  await store.start();
  const refused = await store.append(record('refused')).then(
    () => 'taken',
    (error: unknown) => (error instanceof StoreError ? `${error.code} ${error.disk}` : String(error)),
  );
  remount('rw');
  await untilOpen(store);
  await store.append(record(text));
  const states = lines.filter(({ event }) => event === 'store.state').map(({ state }) => state);
  return { store, states, refused };
}

const first = await life('a');
await first.store.stop();
const second = await life('b');
const found: string[] = [];
for (const { epoch } of second.store.epochs()) found.push(...(await contents(second.store, epoch)).values());
await second.store.stop();
const states = [...first.states, ...second.states];
console.log(JSON.stringify({ states, refused: [first.refused, second.refused], found }));
