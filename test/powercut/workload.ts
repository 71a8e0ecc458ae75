/**
 * One life of a gateway's buffer, to be recorded: argv is the folder, a seed, the number of the first record,
 * and whether this life fills the buffer far beyond its spare pages and empties it again. It is the real
 * store on a real file; only the pause between vacuums is shortened. Bursts, acceptances for one and two
 * copies, clock changes, restarts.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Store } from '../../agent/store/store.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import type { Mark } from './expected.ts';
import { FIRST_LARGE, recordOf } from './records.ts';
import { MARKS } from './trace.ts';

/** Bursts in each epoch. The last one writes more than the log holds between two checkpoints. */
const EPOCHS = [40, 180];
/**
 * With this bound the log is copied into the file every 1,000 pages, so that cuts fall into that too. Nothing
 * is given up.
 */
const LIMITS = { maxBytes: 32 * 2 ** 20, streams: {} };
const VACUUM_EVERY_MS = 15;
const BUFFERED_MAX = 120;
const LARGE_RECORDS = 800;

interface Range {
  epoch: string;
  stream: string;
  first: number;
  last: number;
}

const [folder = '', seed = '0', firstNumber = '0', course = 'steady'] = process.argv.slice(2);
const entropy = seededEntropy(Number(seed));
const marks = openSync(join(folder, MARKS), 'a');
const clock: Clock = {
  ...systemClock,
  every: (_, run) => systemClock.every(VACUUM_EVERY_MS, run),
};
let nextNumber = Number(firstNumber);
/** Acknowledged, and acceptance not asked for. */
const held: Range[] = [];

function mark(words: Mark): void {
  writeSync(marks, `${JSON.stringify(words)}\n`);
}

function integer(below: number): number {
  return Math.floor(entropy.float() * below);
}

async function startStore(): Promise<Store> {
  const log = createLogger({ level: 'silent', levels: {} });
  const file = join(folder, 'buffer.db');
  const store = new Store({ file, bootId: 'boot-1', clock, entropy, log, limits: LIMITS });
  await store.start();
  mark({ say: 'epoch', epoch: store.epoch });
  return store;
}

async function append(store: Store, number: number): Promise<void> {
  const { epoch } = store;
  const { stream, seq } = await store.append(recordOf(number));
  mark({ say: 'acknowledged', epoch, stream, seq, number });
  held.push({ epoch, stream, first: seq, last: seq });
}

function burst(store: Store, size: number): Promise<unknown> {
  return Promise.all(Array.from({ length: size }, () => append(store, nextNumber++)));
}

function accept(store: Store, range: Range, provider: string, copies: number): void {
  mark({ say: 'accepting', ...range, provider, copies });
  void store.accept({ ...range, provider, copies });
}

/** As the forwarder does: one provider takes a run of rows; now and then the rule asks for two. */
function deliver(store: Store, count: number): void {
  for (const range of held.splice(integer(3), count)) {
    const copies = entropy.float() < 0.2 ? 2 : 1;
    accept(store, range, 'aws', copies);
    if (copies === 2 && entropy.float() < 0.7) accept(store, range, 'gcp', copies);
  }
}

/** Delivers what earlier epochs left, whole, so that their streams end and are forgotten. */
function finishOlderEpochs(store: Store): void {
  for (const { epoch, stream, pending, sealedAt } of store.initialState()) {
    if (sealedAt === null || entropy.float() < 0.3) continue;
    for (const { first, last } of pending.ranges()) {
      accept(store, { epoch, stream, first, last }, 'azure', 1);
    }
    void store.acceptSeal(epoch, stream);
  }
  held.length = 0;
}

async function work(store: Store, bursts: number): Promise<void> {
  const underWay: Array<Promise<unknown>> = [];
  for (let i = 0; i < bursts; i++) {
    underWay.push(burst(store, 1 + integer(entropy.float() < 0.1 ? 60 : 8)));
    if (entropy.float() < 0.5) deliver(store, held.length > BUFFERED_MAX ? BUFFERED_MAX : integer(20));
    if (entropy.float() < 0.1) {
      store.setClock({ bootId: 'boot-1', offsetMs: integer(1e6), quality: 'synchronised' });
    }
    if (entropy.float() < 0.7) await Promise.all(underWay.splice(0));
  }
  await Promise.all(underWay);
}

/** Leaves more unused pages than the store keeps, so that the file gets shorter while records go on. */
async function fillAndEmpty(store: Store): Promise<void> {
  const small = nextNumber;
  nextNumber = Number(firstNumber) - 1 + FIRST_LARGE;
  while (held.length < LARGE_RECORDS) await burst(store, 50);
  nextNumber = small;
  deliver(store, held.length);
  for (let i = 0; i < 20; i++) {
    await systemClock.sleep(VACUUM_EVERY_MS);
    await burst(store, 3);
  }
}

mark({ say: 'begin' });
for (const [i, bursts] of EPOCHS.entries()) {
  const store = await startStore();
  if (entropy.float() < 0.7) finishOlderEpochs(store);
  if (course === 'deep' && i === 0) await fillAndEmpty(store);
  await work(store, bursts);
  await store.stop();
  if (store.lastError) throw store.lastError;
}
