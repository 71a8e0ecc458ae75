/**
 * Appends to the store on argv[2] without end, and prints each answer at once:
 * `appended <epoch> <seq> <payload>`, or `refused <code>`. With padding (argv[3]) it also reports every
 * second record as delivered and prints `freed <epoch> <seq>` when that is durable. To be killed.
 */
import { StoreError } from '../../../agent/store/types.ts';
import { noise, record, storeOn } from './fixture.ts';

const [file = '', padding = '0'] = process.argv.slice(2);
const { store } = storeOn(file);
await store.start();
const say = (line: string): boolean => process.stdout.write(`${line}\n`);
let next = 0;

async function appendOne(): Promise<void> {
  const payload = `${process.pid}:${++next}`;
  const epoch = store.epoch;
  try {
    const { seq } = await store.append(record(payload + noise(Number(padding))));
    say(`appended ${epoch} ${seq} ${payload}`);
    if (padding === '0' || seq % 2 === 1) return;
    const acceptance = { epoch, stream: 'telemetry', provider: 'aws', first: seq, last: seq, copies: 1 };
    void store.accept(acceptance).then(() => say(`freed ${epoch} ${seq}`));
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    say(`refused ${error.code}`);
    await new Promise(setImmediate);
  }
}

async function appendForever(): Promise<void> {
  for (;;) await appendOne();
}

await Promise.all(Array.from({ length: 8 }, appendForever));
