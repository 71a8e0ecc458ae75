/**
 * Fills the file system in argv[2] with a buffer, delivers what waits, and prints as one JSON line what
 * states the store went through, why it refused, how many acknowledged records were missing, and how many it
 * took afterwards.
 */
import { join } from 'node:path';
import { DEFAULT_LIMITS } from '../../agent/store/limits.ts';
import { StoreError } from '../../agent/store/types.ts';
import { contents, noise, record, storeOn, untilState } from '../agent/store/fixture.ts';
import { until } from '../until.ts';

const [mount = ''] = process.argv.slice(2);
const { maxBytes } = DEFAULT_LIMITS;
const live = {
  durability: { kind: 'memory' },
  priority: 5,
  maxBytes: null,
  maxAgeMs: null,
  whenFull: 'evict',
} as const;
const limits = { maxBytes, streams: { live } };
const { store, lines } = storeOn(join(mount, 'buffer.db'), { reserveBytes: 8 * 2 ** 20, limits });
await store.start();
const { epoch } = store;
const taken = new Map<number, string>();
const refusals = new Set<string>();
// A write may find the disk full before the watch does: the store fails, and opens the file again.
while (![...refusals].some((code) => code !== 'failed')) {
  await until('the file is open', () => store.isOpen);
  const text = noise(20_000);
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      store.append(record(`${i} ${text}`)).then(
        ({ seq }) => {
          if (store.epoch === epoch) taken.set(seq, `${i} ${text}`);
        },
        (error: unknown) => {
          if (!(error instanceof StoreError)) throw error;
          refusals.add(error.code);
        },
      ),
    ),
  );
}
const stateThen = store.state();
const inMemory = [await store.append(record('live', 'live')), await store.append(record('live', 'live'))]
  .length;
const there = await contents(store, epoch);
const missing = [...taken].filter(([seq, text]) => there.get(seq) !== text).length;
const last = Math.max(...there.keys());
for (const { epoch: one } of store.epochs()) {
  await store.accept({ epoch: one, stream: 'telemetry', provider: 'aws', first: 1, last, copies: 1 });
}
await untilState(store, 'ok');
let takenAfterwards = 0;
for (let i = 0; i < 100; i++) {
  await store.append(record(`after ${i}`));
  takenAfterwards += 1;
}
await store.stop();
const states = lines.filter(({ event }) => event === 'store.state').map(({ state }) => state);
refusals.delete('failed');
const [refusal] = refusals;
console.log(
  JSON.stringify({ states: states.join(), refusal, stateThen, inMemory, missing, takenAfterwards }),
);
