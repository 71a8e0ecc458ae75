/** A damaged buffer: the store starts, what can be read is there under its own ids, the rest is a gap (I2, I3, I9). */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { Store } from '../../../agent/store/store.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { appendAll, bufferFile, contents, noise, record, storeOn, texts } from './fixture.ts';

const CORRUPTIONS = Number(process.env['HEADGATE_CORRUPTIONS'] ?? 30);
const PAGE = 4096;
const seed = Number(process.env['HEADGATE_SEED'] ?? Date.now() % 1e9);

/** Payloads by record id, and what was pending of each stream when the file was left. */
interface Written {
  payloads: Map<string, string>;
  pending: Map<string, IntervalSet>;
}

/** Two epochs, two streams each, partly delivered, a gap, sessions; the last commits are still in the log. */
async function fill(folder: string): Promise<{ file: string; written: Written }> {
  const source = bufferFile(folder);
  const written: Written = { payloads: new Map(), pending: new Map() };
  for (const life of [1, 2]) {
    const { store } = storeOn(source);
    await store.start();
    const { epoch } = store;
    for (let commit = 0; commit < 30; commit++) {
      for (const stream of ['telemetry', 'alarm']) {
        const payloads = texts(8, commit * 8 + 1).map((text) => `${life} ${stream} ${text} ${noise(150)}`);
        const seqs = await appendAll(store, payloads, stream);
        for (const [i, seq] of seqs.entries())
          written.payloads.set(`${epoch}/${stream}/${seq}`, payloads[i] ?? '');
      }
    }
    const delivered = { epoch, stream: 'telemetry', provider: 'aws', copies: 1 };
    await Promise.all([
      store.accept({ ...delivered, first: 11, last: 60 }),
      store.accept({ ...delivered, stream: 'alarm', first: 1, last: 100, copies: 2 }),
      store.giveUp(epoch, 'alarm', 201, 210, 'quota'),
      store.writeSessions([
        { kind: 'subscription', client: `c${life}`, key: 'plant/#', value: Buffer.from('a1', 'hex') },
      ]),
      store.append(record('the notes go with it', 'telemetry')),
    ]);
    written.payloads.set(`${epoch}/telemetry/241`, 'the notes go with it');
    written.pending.set(
      `${epoch}/telemetry`,
      IntervalSet.of([
        { first: 1, last: 10 },
        { first: 61, last: 241 },
      ]),
    );
    written.pending.set(
      `${epoch}/alarm`,
      IntervalSet.of([
        { first: 1, last: 200 },
        { first: 211, last: 240 },
      ]),
    );
    if (life === 1) await store.stop();
    else {
      for (const part of ['', '-wal']) copyFileSync(source + part, join(folder, `left.db${part}`));
      await store.stop();
    }
  }
  return { file: join(folder, 'left.db'), written };
}

function takeDamage(file: string, random: () => number): string {
  const part = random() < 0.7 ? '' : '-wal';
  const bytes = readFileSync(file + part);
  const at = Math.floor(random() * bytes.length);
  const page = Math.floor(at / PAGE) * PAGE;
  const kinds = ['flip', 'zero', 'truncate', 'noise', 'torn'] as const;
  const kind = kinds[Math.floor(random() * kinds.length)] ?? 'flip';
  let left = bytes;
  if (kind === 'flip') {
    for (let i = 0; i < 40; i++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
  } else if (kind === 'zero') bytes.fill(0, page, page + PAGE);
  else if (kind === 'truncate') left = bytes.subarray(0, at);
  else if (kind === 'noise') for (let i = page; i < page + PAGE; i++) bytes[i] = Math.floor(random() * 256);
  else bytes.copy(bytes, page, 0, 512);
  writeFileSync(file + part, left);
  return `${kind} of ${part || 'file'} at ${at}`;
}

/** Every row is what was written under its id; every pending id that is not there lies in a gap, where its stream is known. */
async function check(t: Test, store: Store, { payloads, pending }: Written, what: string): Promise<void> {
  const states = store.initialState();
  for (const { epoch, stream, pending: there, gaps } of states) {
    if (epoch === store.epoch) t.fail(`${what}: rows in the new epoch`);
    for (const [seq, payload] of await contents(store, epoch, stream)) {
      if (payloads.get(`${epoch}/${stream}/${seq}`) !== payload)
        t.fail(`${what}: other content at ${epoch}/${stream}/${seq}`);
    }
    const known = pending.get(`${epoch}/${stream}`) ?? IntervalSet.empty();
    const accounted = there.union(IntervalSet.of(gaps));
    if (known.difference(accounted).size > 0)
      t.fail(`${what}: ${epoch}/${stream} lost ${JSON.stringify([...known.difference(accounted).ranges()])}`);
  }
}

t.test(`${CORRUPTIONS} damaged files, seed ${seed}`, async (t) => {
  const folder = t.testdir();
  const { file, written } = await fill(folder);
  const work = join(folder, 'work.db');
  let damaged = 0;
  let salvaged = 0;
  const ids = new Set(written.pending.keys());
  for (let i = 0; i < CORRUPTIONS; i++) {
    for (const name of readdirSync(folder)) if (name.startsWith('work.db')) rmSync(join(folder, name));
    for (const part of ['', '-wal']) copyFileSync(file + part, work + part);
    const entropy = seededEntropy(seed + i);
    const random = (): number => entropy.float();
    const what = `HEADGATE_SEED=${seed + i}: ${takeDamage(work, random)}`;
    const { store, lines } = storeOn(work);
    await store.start();
    const said = lines.find(({ event }) => event === 'store.damaged');
    if (ids.has(`${store.epoch}/telemetry`)) t.fail(`${what}: an epoch came twice`);
    t.same(await appendAll(store, ['new']), [1]);
    if (said) {
      damaged += 1;
      if (Number(said['records']) > 0) salvaged += 1;
      if (!existsSync(String(said['movedTo']))) t.fail(`${what}: the damaged file is gone`);
      await check(t, store, written, what);
    }
    await store.stop();
  }
  t.ok(damaged > CORRUPTIONS / 4, `${damaged} were noticed`);
  t.ok(salvaged > damaged / 3, `of ${salvaged} records were salvaged`);
});

t.test('one lost page costs its records, and nothing else', async (t) => {
  const folder = t.testdir();
  const { file, written } = await fill(folder);
  const db = new Database(file);
  db.pragma('wal_checkpoint(TRUNCATE)');
  const { pageno } = db
    .prepare<[], { pageno: number }>(
      "SELECT pageno FROM dbstat WHERE name = 'chunk' AND pagetype = 'leaf' LIMIT 1 OFFSET 3",
    )
    .get() ?? { pageno: 0 };
  db.close();
  t.ok(pageno > 0);
  const bytes = readFileSync(file);
  bytes.fill(0xa5, (pageno - 1) * PAGE, pageno * PAGE);
  writeFileSync(file, bytes);
  const { store, lines } = storeOn(file);
  await store.start();
  await check(t, store, written, 'one page');
  const [said] = lines.filter(({ event }) => event === 'store.damaged');
  const total = [...written.pending.values()].reduce((sum, set) => sum + set.size, 0);
  t.equal(Number(said?.['records']) + Number(said?.['lostRecords']), total);
  t.ok(
    Number(said?.['lostRecords']) > 0 && Number(said?.['lostRecords']) < 120,
    `${said?.['lostRecords']} of ${total} lost`,
  );
  t.equal(store.initialSessions().length, 2, 'sessions are kept');
  t.ok(
    store.initialState().some(({ accepted }) => accepted.get('aws')?.size),
    'and what was accepted once of two',
  );
  await store.stop();
});

t.test('killed at any step of the replacement: the next start does the rest', async (t) => {
  const folder = t.testdir();
  const { file, written } = await fill(folder);
  const bytes = readFileSync(file);
  bytes.fill(0xa5, 5 * PAGE, 6 * PAGE);
  writeFileSync(file, bytes);
  const movedTo = `${file}.damaged-x`;
  const note = JSON.stringify({ detail: 'test', movedTo });
  const parts = ['', '-wal'].map((part) => ({ part, bytes: readFileSync(file + part) }));
  const moved = (part: string): string => `left.db.damaged-x${part}`;
  const [main, log] = [parts[0]?.bytes ?? '', parts[1]?.bytes ?? ''];
  const states: Array<Record<string, Buffer | string>> = [
    { 'left.db': main, 'left.db-wal': log },
    { 'left.db': main, [moved('-wal')]: log },
    { [moved('')]: main, [moved('-wal')]: log },
    { [moved('')]: main, [moved('-wal')]: log, 'left.db.salvage': 'half', 'left.db.salvage-wal': 'done' },
  ];
  for (const [step, files] of states.entries()) {
    const place = t.testdir({ ...files, 'left.db.salvage.json': note });
    const { store, lines } = storeOn(join(place, 'left.db'));
    await store.start();
    await check(t, store, written, `step ${step}`);
    const [said] = lines.filter(({ event }) => event === 'store.damaged');
    t.ok(Number(said?.['records']) > 500, `step ${step}: ${said?.['records']} records`);
    t.notOk(existsSync(join(place, 'left.db.salvage.json')));
    t.same(readFileSync(join(place, moved(''))), main, 'the damaged file is as it was');
    await store.stop();
  }
});

t.test('three damaged files are kept', async (t) => {
  const folder = t.testdir();
  const file = bufferFile(folder);
  for (let i = 0; i < 5; i++) {
    for (const part of ['', '-wal']) rmSync(file + part, { force: true });
    writeFileSync(file, `not a database ${i} `.repeat(500));
    const { store } = storeOn(file);
    await store.start();
    await store.stop();
  }
  const kept = readdirSync(folder).filter((name) => name.includes('.damaged-'));
  t.equal(kept.length, 3);
  t.ok(kept.some((name) => readFileSync(join(folder, name), 'utf8').startsWith('not a database 4')));
});
