/**
 * Every crash point of the store is hit, and after each one holds: acknowledged rows that were not freed are
 * there, no id comes twice, the next start is a new epoch (I1, I2, I3). Each case also says what it left, so
 * that a point that moved is noticed.
 */

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Store } from '../../../agent/store/store.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { appendAll, bufferFile, contents, storeOn, texts } from '../../agent/store/fixture.ts';
import { testDir } from '../../test-dir.ts';
import { CRASH_CASES, type CrashCase } from './crash-point.ts';
import { ACCEPTED, BATCH_ROWS, FIRST_ROWS, GIVEN_UP } from './rows.ts';

const LIFE = fileURLToPath(new URL('./life.ts', import.meta.url));
const CUT_OFF = new URL('./cut-off.ts', import.meta.url).href;

interface Told {
  /** Id → payload. */
  acked: Map<string, string>;
  /** Accepted or given up. */
  gone: string[];
}

/** Runs a life until it is cut off. */
async function liveAndDie(file: string, cut: CrashCase | null): Promise<Told & { signal: string | null }> {
  const args = ['--import', CUT_OFF, LIFE, file, ...(cut ? [cut.phase] : [])];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      HEADGATE_CRASH_ARMED: join(dirname(file), 'armed'),
      ...(cut ? { HEADGATE_CRASH_STEP: JSON.stringify(cut) } : {}),
    },
  });
  const signal = await new Promise<string | null>((resolve) =>
    child.once('exit', (_code, signal) => resolve(signal)),
  );
  const told: Told = { acked: new Map(), gone: [] };
  const lines = existsSync(`${file}.told`) ? readFileSync(`${file}.told`, 'utf8') : '';
  for (const line of lines.split('\n').slice(0, -1)) {
    const [kind, epoch = '', seq = '', payload = ''] = line.split(' ');
    if (kind === 'acked') told.acked.set(`${epoch}/${seq}`, payload);
    else told.gone.push(...idsOf(epoch, { first: Number(seq), last: Number(payload) }));
  }
  return { ...told, signal };
}

/** Id → payload of all that is in the buffer. */
async function allRows(t: Test, store: Store): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  for (const { epoch, pending } of store.initialState()) {
    for (const [seq, payload] of await contents(store, epoch)) rows.set(`${epoch}/${seq}`, payload);
    const there = [...rows.keys()].filter((id) => id.startsWith(`${epoch}/`)).length;
    t.equal(there, pending.size, 'no hole');
  }
  return rows;
}

function idsOf(epoch: string, { first, last }: SeqRange): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `${epoch}/${first + i}`);
}

function startCounter(epoch: string): number {
  return Number(epoch.split('-')[0]);
}

async function holds(t: Test, file: string, cut: CrashCase, first: Told | null): Promise<void> {
  const crashed = await liveAndDie(file, cut);
  t.equal(crashed.signal, 'SIGKILL', 'the point is reached');
  const { store, lines } = storeOn(file);
  await store.start();
  const rows = await allRows(t, store);
  const { epoch, batch, acceptance, gap } = cut.durable;

  const acked = new Map([...(first?.acked ?? []), ...crashed.acked]);
  const wrong = [...acked].filter(([id, payload]) => rows.get(id) !== payload).map(([id]) => id);
  const firstEpoch = [...(first?.acked.keys() ?? [])][0]?.split('/')[0] ?? '';
  const gone = [
    ...(acceptance ? idsOf(firstEpoch, ACCEPTED) : []),
    ...(gap ? idsOf(firstEpoch, GIVEN_UP) : []),
    ...crashed.gone,
  ];
  t.same(wrong, [...new Set(gone)], 'every acknowledged record is there with its content, but those freed');
  t.same(
    store.initialState().flatMap(({ gaps }) => gaps),
    gap ? [{ ...GIVEN_UP, reason: 'quota' }] : [],
    'what was given up is a gap (I3)',
  );
  const batchRows = [...rows.values()].filter((payload) => payload.startsWith('batch-')).length;
  t.equal(batchRows, batch ? BATCH_ROWS : 0, 'the batch is there as a whole or not at all');
  t.equal(store.takeSessions().length, batchRows, 'and what the broker keeps of its publishes with it');

  const known = new Set([...rows.keys(), ...acked.keys()]);
  t.notOk(
    [...known].some((id) => id.startsWith(`${store.epoch}/`)),
    'a new epoch',
  );
  t.equal(startCounter(store.epoch), (first ? 2 : 1) + (epoch ? 1 : 0), 'with the next number');
  t.same(
    lines.filter(({ event }) => event === 'store.damaged'),
    [],
    'nothing is taken for damage',
  );
  t.same(await appendAll(store, texts(3)), [1, 2, 3], 'and it goes on');
  await store.stop();
}

t.test('crash points', async (t) => {
  t.jobs = 2;
  const base = bufferFile(testDir(t));
  const first = await liveAndDie(base, null);
  t.equal(first.acked.size, FIRST_ROWS);
  for (const [point, cut] of Object.entries(CRASH_CASES)) {
    void t.test(`${point}: ${cut.property}`, { buffered: true }, async (t) => {
      const directory = join(dirname(base), point.replace('/', '-'));
      mkdirSync(directory);
      const file = bufferFile(directory);
      for (const part of cut.fresh ? [] : ['', '-wal'])
        if (existsSync(base + part)) copyFileSync(base + part, file + part);
      await holds(t, file, cut, cut.fresh ? null : first);
    });
  }
});
