/**
 * One life of the real store on argv[2], to be cut off at the step that ./cut-off.ts was told, in the phase
 * argv[3] (absent: after all rows of a first life are in). Writes at once what it was told to
 * `<argv[2]>.told`: `acked <epoch> <seq> <payload>`, `accepted <epoch> <first> <last>`, `given-up <epoch>
 * <first> <last>`.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import type { SessionItem } from '../../../agent/store/types.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { noise, record, storeOn, texts } from '../../agent/store/fixture.ts';
import { ANSWERED, type Phase } from './crash-point.ts';
import { ACCEPTED, BATCH_ROWS, BULK, FIRST_ROWS, GIVEN_UP } from './rows.ts';

const [file = '', phase] = process.argv.slice(2);
const { store } = storeOn(file);

function begin(next: Phase): void {
  if (next === phase) writeFileSync(process.env['HEADGATE_CRASH_ARMED'] ?? '', '');
}

async function appendRows(payloads: readonly string[], withSessions = false): Promise<void> {
  const appended = payloads.map((text, i) =>
    store.append(record(text), withSessions ? incoming(String(i + 1)) : null),
  );
  const seqs = (await Promise.all(appended)).map(({ seq }) => seq);
  // Records for which the broker would send PUBACKs.
  if (phase === 'append' && process.env['HEADGATE_CRASH_STEP']?.includes(ANSWERED))
    process.kill(process.pid, 'SIGKILL');
  for (const [i, seq] of seqs.entries()) say(`acked ${store.epoch} ${seq} ${payloads[i]}`);
}

function incoming(key: string): SessionItem {
  return { kind: 'incoming', client: 'dev-1', key, value: Uint8Array.of(1) };
}

async function acceptRows(epoch: string, { first, last }: SeqRange): Promise<void> {
  await store.accept({ epoch, stream: 'telemetry', provider: 'aws', copies: 1, first, last });
  say(`accepted ${epoch} ${first} ${last}`);
}

/** Synchronously: what is said before the process ends is there afterwards. */
function say(line: string): void {
  appendFileSync(`${file}.told`, `${line}\n`);
}

begin('open');
await store.start();
if (phase === undefined) {
  // One by one, so that each is a chunk and accepting some of them deletes chunks.
  for (const text of texts(FIRST_ROWS)) await appendRows([`first-${text}`]);
  process.kill(process.pid, 'SIGKILL');
}
begin('append');
await appendRows(
  texts(BATCH_ROWS).map((text) => `batch-${text}`),
  true,
);
begin('accept');
const [old] = store.initialState();
if (old) await acceptRows(old.epoch, ACCEPTED);
begin('give-up');
if (old) {
  const { first, last } = GIVEN_UP;
  await store.giveUp(old.epoch, 'telemetry', first, last, 'quota');
  say(`given-up ${old.epoch} ${first} ${last}`);
}
if (phase === 'vacuum') {
  await appendRows(texts(BULK.rows).map(() => noise(BULK.payloadBytes)));
  await acceptRows(store.epoch, { first: BATCH_ROWS + 1, last: BATCH_ROWS + BULK.rows });
  begin('vacuum');
  // The store's own timer runs it, and the cut-off ends this process there.
  await new Promise(() => undefined);
}
begin('close');
await store.stop();
