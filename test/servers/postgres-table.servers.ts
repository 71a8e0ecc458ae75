/** The PostgreSQL feed against a real server: every record is in the table once, whatever dies in between. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import pg from 'pg';
import t, { type Test } from 'tap';
import { resetFeed } from '../../cli/feeds.ts';
import { loadLedgerToolConfig } from '../../router/config.ts';
import { Feed } from '../../router/feeds/feed.ts';
import type { HoldBackLimits } from '../../router/feeds/hold-back.ts';
import { PostgresSink } from '../../router/feeds/sinks/postgres.ts';
import { postgresFeedOptions } from '../../router/feeds/sinks/postgres-options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy, seededEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { entry, record, seqs } from '../router/ledger/envelopes.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';

const RUNNER = fileURLToPath(new URL('./table-runner.ts', import.meta.url));
const KILLS = 6;
const log = createLogger({ level: 'silent', levels: {} });

const server = await postgres();
t.teardown(() => server.remove());
await server.start();

async function query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

function sinkOf(schema: string) {
  return new PostgresSink('table', postgresFeedOptions.parse({ url: server.url, schema }), { clock, log });
}

async function fresh(t: Test, schema: string) {
  const folder = testDir(t);
  const file = join(folder, 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock, log });
  t.teardown(() => ledger.close());
  const start = async (holdBack: HoldBackLimits | null = null): Promise<Feed> => {
    const sink = sinkOf(schema);
    const options = { ledger, sink, clock, entropy, log, holdBack };
    const feed = new Feed({ name: 'table', ...options, batchRecords: 10 });
    await feed.start();
    t.teardown(() => feed.stop());
    return feed;
  };
  return { folder, file, ledger, start, table: `${schema}.headgate_record` };
}

await t.test('the table has what the ledger has: JSON as jsonb, the rest as bytes', async (t) => {
  const { ledger, start, table } = await fresh(t, 'content');
  const made = entry({ gateway: 'gw "1"', seqs: [1, 2, 3, 4] }, 'aws', 1_700_000_001_000);
  const payloads = [Buffer.from(' {"c": 21.50}'), Buffer.from('warm'), Buffer.of(0, 255), Buffer.of()];
  made.envelope.records = payloads.map((payload, i) => ({ ...record(i + 1), payload }));
  await ledger.commit([made]);
  const beyond = entry({ gateway: 'gw-2', seqs: [1], offsetMs: -8e15 });
  await ledger.commit([beyond]);
  const feed = await start();
  await until('feed has reached 5', () => feed.state().cursor === 5);
  t.equal(feed.state().lastError, null);
  const rows = await query(
    `SELECT gateway, epoch, stream, seq::integer, device, topic, time, clock_quality, received, source,
       payload::text, encode(payload_bytes, 'hex') AS bytes FROM ${table} ORDER BY gateway, seq`,
  );
  t.strictSame(rows[0], {
    gateway: 'gw "1"',
    epoch: '1-aa',
    stream: 'telemetry',
    seq: 1,
    device: 'device-1',
    topic: 'plant/device-1/temp',
    time: new Date(1_700_000_000_010),
    clock_quality: 'synchronised',
    received: new Date(1_700_000_001_000),
    source: 'aws',
    payload: '{"c": 21.50}',
    bytes: null,
  });
  t.strictSame(
    rows.slice(1, 4).map(({ payload, bytes }) => [payload, bytes]),
    [
      [null, '7761726d'],
      [null, '00ff'],
      [null, ''],
    ],
  );
  t.match(rows[4], { gateway: 'gw-2', time: null, payload: '1' }, 'a time that no client could read');
});

await t.test('no JSON is refused: what jsonb cannot hold is stored as bytes', async (t) => {
  const { ledger, start, table } = await fresh(t, 'odd');
  const odd = [
    '"\\u0000"',
    '{"\\u0000":1}',
    '"\\ud800"',
    '"\\uD83D\\uDE00"',
    '1e99999',
    '1e-99999',
    '[1e999, 1E+999]',
    '9'.repeat(200_000),
    `0.${'1'.repeat(20_000)}`,
    `${'['.repeat(5000)}${']'.repeat(5000)}`,
    '"\\\\u0000 \\\\\\" 1e99999 [[["',
    '"3e12345678"',
    '{"a":1,"a":2}',
    'true',
    '-0',
  ];
  const texts = [...odd, ...fc.sample(fc.json(), { numRuns: 300, seed: 7 })];
  const made = entry({ seqs: seqs(1, texts.length) });
  made.envelope.records = texts.map((text, i) => ({ ...record(i + 1), payload: Buffer.from(text) }));
  await ledger.commit([made]);
  const feed = await start();
  await until(
    'feed has written all or failed',
    () => feed.state().cursor === texts.length || feed.state().failures > 0,
  );
  t.match(feed.state(), { cursor: texts.length, lastError: null });
  const rows = await query<{ seq: number; payload: unknown; bytes: Buffer | null }>(
    `SELECT seq::integer, payload, payload_bytes AS bytes FROM ${table} ORDER BY seq`,
  );
  for (const [i, text] of texts.entries()) {
    const { payload, bytes } = rows[i] ?? { payload: undefined, bytes: null };
    if (bytes !== null) t.equal(bytes.toString(), text);
    else t.strictSame(normal(payload), normal(JSON.parse(text)), text.slice(0, 60));
  }
  t.ok(rows.filter(({ bytes }) => bytes === null).length > 250, 'most of it is jsonb all the same');
  t.strictSame([rows[10]?.bytes, rows[11]?.bytes], [null, null], 'what only looks like it, in a string');
});

/** jsonb has no -0, and its own order of keys. */
function normal(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, child]) => [key, normal(child)]),
  );
}

await t.test(
  'the position stands beside the records: rows that were taken away do not come back',
  async (t) => {
    const { ledger, start, table } = await fresh(t, 'taken');
    await ledger.commit([entry({ seqs: seqs(1, 40) })]);
    const feed = await start();
    await until('feed has reached 40', () => feed.state().cursor === 40);
    await feed.stop();
    await query(`DELETE FROM ${table}`);
    // As after a crash between the destination's commit and the ledger's.
    await ledger.moveFeedPosition('table', at(40), at(10));
    await ledger.commit([entry({ seqs: seqs(41, 45) })]);
    const again = await start();
    await until('again has reached 45', () => again.state().cursor === 45);
    await again.stop();
    t.strictSame(
      (await query(`SELECT seq::integer FROM ${table} ORDER BY seq`)).map(({ seq }) => seq),
      seqs(41, 45),
    );
    t.equal((await ledger.loadFeedPosition('table')).offset, 45);
  },
);

await t.test('a ledger that was put back: its new records are not skipped', async (t) => {
  const { folder, ledger, start, table } = await fresh(t, 'restored');
  await ledger.commit([entry({ seqs: seqs(1, 30) })]);
  const feed = await start();
  await until('feed has reached 30', () => feed.state().cursor === 30);
  await feed.stop();
  // The backup held 10 records; 25 others came since.
  const restored = await openSqliteLedger({ file: join(folder, 'restored.db'), clock, log });
  t.teardown(() => restored.close());
  await restored.commit([entry({ seqs: seqs(1, 10) }), entry({ epoch: '2-bb', seqs: seqs(1, 25) })]);
  await restored.resetFeedPosition('table', 10);
  const sink = sinkOf('restored');
  const again = new Feed({ name: 'table', ledger: restored, sink, clock, entropy, log });
  await again.start();
  t.teardown(() => again.stop());
  await until('again has reached 35', () => again.state().cursor === 35);
  t.match(await query(`SELECT count(*)::integer AS rows FROM ${table}`), [{ rows: 55 }]);
});

function at(offset: number) {
  return { offset, progress: new Uint8Array() };
}

await t.test('of two routers that both believe in their lease one gets through', async (t) => {
  const { ledger, table } = await fresh(t, 'believers');
  await ledger.commit([entry({ seqs: seqs(1, 20) })]);
  const sinks = [sinkOf('believers'), sinkOf('believers')];
  t.teardown(() => Promise.all(sinks.map((sink) => sink.close())));
  for (const sink of sinks) t.match(await sink.position?.(at(0), ledger), { offset: 0 });
  const records = await ledger.read(0, 10);
  const outcomes = await Promise.allSettled(
    sinks.map((sink) => sink.write(records, { from: at(0), after: () => at(10) })),
  );
  t.strictSame(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  t.match(
    outcomes.find(({ status }) => status === 'rejected'),
    { reason: /moved by another process/ },
  );
  t.match(await query(`SELECT count(*)::integer AS rows FROM ${table}`), [{ rows: 10 }]);
  for (const sink of sinks) t.match(await sink.position?.(at(0), ledger), { offset: 10 });
});

await t.test('killed at random while a consumer takes the rows away: each comes once', async (t) => {
  const { file, ledger, table } = await fresh(t, 'killed');
  const records = 3000;
  await ledger.commit([entry({ seqs: seqs(1, records) })]);
  const random = seededEntropy(3);
  const taken: number[] = [];
  const take = async (): Promise<void> => {
    const there = await query(`SELECT to_regclass('${table}') AS name`);
    if (there[0]?.['name'] === null) return;
    const rows = await query<{ seq: number }>(`DELETE FROM ${table} RETURNING seq::integer`);
    taken.push(...rows.map(({ seq }) => seq));
  };
  for (let life = 0; life <= KILLS; life += 1) {
    const child = spawn(process.execPath, [RUNNER, file, server.url, 'killed'], { stdio: 'inherit' });
    const before = (await ledger.loadFeedPosition('table')).offset;
    const mortal = life < KILLS;
    const end = mortal ? before + 50 + Math.floor(random.float() * 150) : records;
    await until(
      'it has written for a while',
      async () => (await ledger.loadFeedPosition('table')).offset >= end,
    );
    if (life % 2 === 0) await take();
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await take();
  t.strictSame(
    taken.sort((a, b) => a - b),
    seqs(1, records),
  );
});

await t.test(
  'with hold_back: what is held comes later, and its position survives at both ends',
  async (t) => {
    const { ledger, start, table } = await fresh(t, 'held');
    const limits = { recordsMax: 100, maxWaitMs: 60_000 };
    const rows = async () =>
      (await query<{ seq: number }>(`SELECT seq::integer FROM ${table} ORDER BY seq`)).map(({ seq }) => seq);
    await ledger.commit([entry({ seqs: [1, 3, 4] })]);
    const first = await start(limits);
    await until('first holds 2', () => first.state().held === 2);
    await until('first has written 1', () => first.state().written === 1);
    await ledger.commit([entry({ seqs: [6] })]);
    first.notify();
    await until('first holds 3', () => first.state().held === 3);
    await first.stop();
    t.strictSame(await rows(), [1]);
    const second = await start(limits);
    await ledger.commit([entry({ seqs: [2] })]);
    await until('second has written 3', () => second.state().written === 3);
    t.strictSame(await rows(), [1, 2, 3, 4]);
    await ledger.commit([entry({ seqs: [5] })]);
    await until('second has reached 6', () => second.state().cursor === 6);
    t.strictSame(await rows(), seqs(1, 6));
    t.strictSame([first.state().failures, second.state().failures], [0, 0]);
    t.equal((await ledger.loadFeedPosition('table')).offset, 6);
  },
);

await t.test('a server that goes away is waited for', async (t) => {
  const { ledger, start, table } = await fresh(t, 'away');
  await ledger.commit([entry({ seqs: seqs(1, 10) })]);
  const feed = await start();
  await until('feed has reached 10', () => feed.state().cursor === 10);
  await server.kill();
  await ledger.commit([entry({ seqs: seqs(11, 20) })]);
  await until('feed is retrying', () => feed.state().phase === 'retrying');
  await server.start();
  await until('feed has reached 20', () => feed.state().cursor === 20);
  t.match(await query(`SELECT count(*)::integer AS rows FROM ${table}`), [{ rows: 20 }]);
});

await t.test('headgate feeds reset sets the position at both ends', async (t) => {
  const { folder, ledger, start, table } = await fresh(t, 'resets');
  await ledger.commit([entry({ seqs: seqs(1, 30) })]);
  const feed = await start();
  await until('feed has reached 30', () => feed.state().cursor === 30);
  const text = `data_dir: ${folder}
sources: [{ name: gcp, type: gcp, project: p, subscription: s }]
feeds: [{ name: table, type: postgres, url: '${server.url}', schema: resets }]
`;
  const file = join(folder, 'router.yaml');
  writeFileSync(file, text);
  const loaded = loadLedgerToolConfig(file);
  if (!loaded.ok) throw new Error('the configuration of the test is not sound');
  await query(`DELETE FROM ${table}`);
  t.match(await resetFeed(loaded.config, 'table', '20'), { done: /after offset 20/ });
  await ledger.commit([entry({ seqs: [31] })]);
  feed.notify();
  const rows = () => query<{ seq: number }>(`SELECT seq::integer FROM ${table} ORDER BY seq`);
  await until('eleven rows are there', async () => (await rows()).length === 11);
  t.strictSame(
    (await rows()).map(({ seq }) => seq),
    seqs(21, 31),
  );
});

await t.test('options', async (t) => {
  const parse = (options: object) => postgresFeedOptions.safeParse({ url: 'postgres://h/d', ...options });
  t.match(parse({}), { data: { schema: 'public', table: 'headgate_record', timeout: 10_000 } });
  for (const table of ['a;b', 'A', '', '1a', 'a.b']) t.notOk(parse({ table }).success, table);
  t.notOk(parse({ url: 'mysql://h/d' }).success);
});
