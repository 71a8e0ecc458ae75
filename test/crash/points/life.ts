/**
 * One life of the real store on argv[2], to be cut off at the step that ./cut-off.ts was told, in the phase argv[3] (absent: after all
 * rows of a first life are in). Writes at once what it was told to `<argv[2]>.told`: `acked <epoch> <seq> <payload>`, `accepted <epoch> <first> <last>`.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { appendAll, storeOn, texts } from '../../agent/store/fixture.ts';
import { ANSWERED, type Phase } from './crash-point.ts';
import { ACCEPTED, BATCH_ROWS, FIRST_ROWS, ROW_PAD } from './rows.ts';

const [file = '', phase] = process.argv.slice(2);
const { store } = storeOn(file);

function begin(next: Phase): void {
  if (next === phase) writeFileSync(process.env['HEADGATE_CRASH_ARMED'] ?? '', '');
}

async function appendRows(name: string, count: number): Promise<void> {
  const payloads = texts(count).map((text) => `${name}-${text}${ROW_PAD}`);
  const seqs = await appendAll(store, payloads);
  // What the broker would send PUBACKs for.
  if (phase === 'append' && process.env['HEADGATE_CRASH_STEP']?.includes(ANSWERED))
    process.kill(process.pid, 'SIGKILL');
  for (const [i, seq] of seqs.entries()) say(`acked ${store.epoch} ${seq} ${payloads[i]}`);
}

/** Synchronously: what is said before the process ends is there afterwards. */
function say(line: string): void {
  appendFileSync(`${file}.told`, `${line}\n`);
}

begin('open');
await store.start();
if (phase === undefined) {
  await appendRows('first', FIRST_ROWS);
  process.kill(process.pid, 'SIGKILL');
}
begin('append');
await appendRows('batch', BATCH_ROWS);
begin('accept');
const [old] = store.initialState();
if (old) {
  await store.accept({ epoch: old.epoch, stream: old.stream, provider: 'aws', copies: 1, ...ACCEPTED });
  say(`accepted ${old.epoch} ${ACCEPTED.first} ${ACCEPTED.last}`);
}
begin('vacuum');
// The store's own timer runs it every second.
if (phase === 'vacuum') await new Promise((resolve) => setTimeout(resolve, 5000));
begin('close');
await store.stop();
