/**
 * The ledger on a real PostgreSQL: the contract of every engine, and what only a shared server can do to it.
 * `node test/servers/postgres.servers.ts 2000000` feeds the killed replicas that many records.
 */
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { retentionRules } from '../../router/ledger/options.ts';
import { commitEntries } from '../../router/ledger/postgres/commit.ts';
import { Database } from '../../router/ledger/postgres/connection.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { dayOf, MIGRATIONS, partitionDays } from '../../router/ledger/postgres/schema.ts';
import { KEEP_FIRST } from '../../router/ledger/rules/conflict-policy.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import { createLogger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import { crashRun, isClean } from '../crash-router/run.ts';
import { runLedgerContract } from '../router/ledger/contract.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { until } from '../until.ts';
import { postgres } from './postgres.ts';
import { optionsOf, URL_VARIABLE } from './postgres-engine.ts';

const RECORDS = Number(process.argv[2] ?? 100_000);
const log = createLogger({ level: 'silent', levels: {} });

const server = await postgres();
t.teardown(() => server.remove());
await server.start();
process.env[URL_VARIABLE] = server.url;

async function opened(t: Test, place: string): Promise<Ledger> {
  const ledger = await openPostgresLedger({ ...optionsOf(place), clock: systemClock, log });
  t.teardown(() => ledger.close());
  return ledger;
}

function connected(t: Test, place: string): Database {
  const db = new Database(optionsOf(place), systemClock, new SparseLog({ log, clock: systemClock }));
  t.teardown(() => db.close());
  return db;
}

await t.test('no reader sees an offset before every lower one, and a rollback leaves no hole', async (t) => {
  const ledger = await opened(t, 'offsets');
  await ledger.commit([entry({ gateway: 'gw-0', seqs: [1] })]);
  const day = dayOf(systemClock.wallMs());
  const db = connected(t, 'offsets');
  const { rows: heads } = await db.query<{ id: string }>('SELECT ledger_id AS id FROM head');
  const options = { id: heads[0]?.id ?? '', day, conflictPolicyOf: KEEP_FIRST };
  for (const outcome of ['commit', 'rollback'] as const) {
    const before = (await ledger.read(0, 100)).length;
    const order: string[] = [];
    const held = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const first = db
      .transaction(async (client) => {
        await commitEntries(client, [entry({ gateway: `a-${outcome}`, seqs: [1, 2] })], options);
        held.resolve();
        await release.promise;
        order.push('first');
        if (outcome === 'rollback') throw new Error('given up');
      })
      .catch(() => undefined);
    await held.promise;
    const second = ledger
      .commit([entry({ gateway: `b-${outcome}`, seqs: [1] })])
      .then(() => order.push('second'));
    await waitsForALock(db);
    t.equal((await ledger.read(0, 100)).length, before, 'nothing of either is visible');
    release.resolve();
    await Promise.all([first, second]);
    t.strictSame(order, ['first', 'second']);
    const after = await ledger.read(0, 100);
    t.strictSame(
      after.map(({ offset }) => offset),
      seqs(1, before + (outcome === 'commit' ? 3 : 1)),
    );
  }
});

async function waitsForALock(db: Database): Promise<void> {
  for (;;) {
    const { rows } = await db.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    if (rows.length > 0) return;
  }
}

await t.test('a reader at the end skips nothing that is committed between its statements', async (t) => {
  const ledger = await opened(t, 'at_end');
  const reader = await opened(t, 'at_end');
  const offsets: number[] = [];
  const reading = (async () => {
    while ((offsets.at(-1) ?? 0) < 600) {
      for (const { offset } of await reader.read(offsets.at(-1) ?? 0, 3)) offsets.push(offset);
    }
  })();
  for (let first = 1; first <= 600; first += 10) {
    // Only once the reader is at the end.
    await until('the reader is at the end', () => (offsets.at(-1) ?? 0) >= first - 1);
    await ledger.commit([entry({ seqs: seqs(first, first + 9) })]);
  }
  await reading;
  t.strictSame(offsets, seqs(1, 600));
});

await t.test('replicas that start together migrate once; a newer schema is refused', async (t) => {
  await Promise.all(seqs(1, 4).map(() => opened(t, 'together')));
  await connected(t, 'together').query('INSERT INTO schema_version (version) VALUES (99)');
  await t.rejects(opened(t, 'together'), { message: /newer Headgate \(ledger schema 99/ });
});

await t.test(
  'a schema from before there were policies is brought forward with all that it holds',
  async (t) => {
    const db = connected(t, 'older');
    const before = MIGRATIONS.slice(0, 3);
    await db.query('CREATE SCHEMA older; CREATE TABLE schema_version (version integer PRIMARY KEY)');
    for (const migration of before) await db.query(migration);
    await db.query('INSERT INTO schema_version SELECT generate_series(1, 3)');
    for (const table of ['arrival', 'record'])
      await db.query(`CREATE TABLE ${table}_202601 PARTITION OF ${table} FOR VALUES IN (202601)`);
    await db.query(
      `INSERT INTO stream (gateway, epoch, stream, seen, gap_quota, gap_age, gap_corruption)
     VALUES ('gw-1', '1-aa', 'telemetry', $1, '', '', '')`,
      [Buffer.from(IntervalSet.of([{ first: 1, last: 2 }]).encode())],
    );
    await db.query(
      `INSERT INTO arrival VALUES ('gw-1', 7, 202601, 1, 1, 2, 1, 2, 'aws', 4242, 'boot-1', 0, 'synchronised')`,
    );
    await db.query(`INSERT INTO record SELECT 'gw-1', 1, n, 202601, 7, n - 1, n * 10, 'device-' || n, 'plant', convert_to('' || n, 'UTF8')
    FROM generate_series(1, 2) AS n`);
    await db.query("SELECT setval('arrival_id', 7); UPDATE head SET last_offset = 2, dead_letters = 1");
    await db.query(
      `INSERT INTO dead_letter (source, reason, detail, payload, received_wall_ms) VALUES ('s', 'cbor', 'd', 'x', 5)`,
    );
    await db.query(`INSERT INTO cursor VALUES ('nats', 1, '\\x0102', 'router-1', now() + interval '1 hour')`);

    const ledger = await opened(t, 'older');
    t.match(await ledger.read(0, 10), [
      { offset: 1, seq: 1, receivedWallMs: 4242 },
      { offset: 2, seq: 2 },
    ]);
    t.match(await ledger.completeness(), [{ records: 2, completeTo: 2, withdrawn: { retention: 0 } }]);
    t.match(await ledger.deadLetters(10), [{ reason: 'cbor', properties: {} }]);
    t.equal(await ledger.claimFeedPosition('nats', 'router-2', 1000), null, 'the lease goes on');
    t.match(await ledger.claimFeedPosition('nats', 'router-1', 1000), {
      offset: 1,
      progress: Buffer.of(1, 2),
    });
    t.match(
      await ledger.commit([entry({ seqs: [2, 3] })]),
      [{ new: 1, conflict: 1 }],
      'another topic: in conflict',
    );
    t.match(await ledger.read(2, 10), [{ offset: 3, seq: 3 }]);
    t.match(await ledger.verify(), { problemCount: 0, records: 3 });
    const rules = retentionRules.parse([{ streams: '*', max_age: '1d' }]);
    t.match(
      await ledger.maintenance.retain(rules, 2 * 86_400_000),
      { records: 3 },
      'months are left to rows',
    );
    t.match(await ledger.verify(), { problemCount: 0, records: 0 });
  },
);

await t.test('an older router beside: it commits, and a share without arrivals is dropped', async (t) => {
  const ledger = await opened(t, 'beside');
  const old = systemClock.wallMs() - 5 * 3_600_000;
  const text = 'x'.repeat(100);
  for (let seq = 1; seq <= 20; seq += 1) {
    await ledger.commit([entry({ gateway: 'gw-1', seqs: [seq], text }, 'aws', old)]);
    await ledger.commit([entry({ gateway: 'gw-2', seqs: [seq], text }, 'aws', old)]);
  }
  // The bytes, which an older router leaves out: at a commit, and at a removal.
  await connected(t, 'beside').query(`DELETE FROM record WHERE gateway = 'gw-1';
    DELETE FROM arrival WHERE gateway = 'gw-1';
    UPDATE arrival SET bytes = NULL WHERE gateway = 'gw-2' AND first_seq <= 4;
    UPDATE volume SET shared = shared - 4 * (SELECT bytes FROM arrival WHERE gateway = 'gw-2' AND first_seq = 5)
    WHERE hour > 0; UPDATE share SET bytes = 1000 WHERE gateway = 'gw-2'`);
  const rules = retentionRules.parse([{ streams: '*', max_bytes: '4000B' }]);
  for (let more = true; more; ) more = (await ledger.maintenance.retain(rules, systemClock.wallMs())).more;
  const { gateways = [] } = (await ledger.maintenance.storedBytes(9)) ?? {};
  t.strictSame(
    gateways.map(({ gateway }) => gateway),
    ['gw-2'],
  );
  t.notOk(
    (await ledger.read(0, 99)).some(({ seq }) => seq <= 4),
    'those without a share left first',
  );
  t.match(await ledger.commit([entry({ gateway: 'gw-2', seqs: [1, 21], text })]), [{ new: 1, duplicate: 1 }]);
});

await t.test('shares that were emptied are found by verify, and nothing leaves by those left', async (t) => {
  const ledger = await opened(t, 'emptied');
  const old = systemClock.wallMs() - 5 * 3_600_000;
  for (const gateway of ['gw-1', 'gw-2']) {
    await ledger.commit(seqs(1, 9).map((seq) => entry({ gateway, seqs: [seq] }, 'aws', old)));
  }
  await connected(t, 'emptied').query("DELETE FROM share WHERE gateway = 'gw-1'");
  t.match(await ledger.verify(), { problems: [{ gateway: 'gw-1', problem: 'share-differs' }] });
  const { gateways: [left] = [] } = (await ledger.maintenance.storedBytes(1)) ?? {};
  const rules = retentionRules.parse([{ streams: '*', max_bytes: `${left?.bytes ?? 0}B` }]);
  t.match(await ledger.maintenance.retain(rules, systemClock.wallMs()), { records: 0 });
});

await t.test('what the server can never store is refused as such, and nothing else is', async (t) => {
  const ledger = await opened(t, 'refused');
  await t.rejects(ledger.commit([entry({ seqs: [1], topic: 'a\0b' })]), {
    name: 'EntryRefused',
    reason: 'refused',
  });
  await t.rejects(ledger.commit([entry({ seqs: [1], bootId: seededEntropy(1).bytes(9000).toString() })]), {
    name: 'EntryRefused',
  });
  await connected(t, 'refused').query('ALTER TABLE record RENAME TO elsewhere');
  await t.rejects(ledger.commit([entry({ seqs: [1] })]), { name: 'error', message: /does not exist/ });
});

await t.test('commits that share streams in opposite order never block each other for good', async (t) => {
  const ledgers = await Promise.all(seqs(1, 3).map(() => opened(t, 'crossing')));
  const rounds = seqs(1, 20).flatMap((round) =>
    ledgers.map((ledger, i) => {
      const group = ['a', 'b', 'c', 'd'].map((stream) => entry({ stream, seqs: seqs(round, round + 4) }));
      return ledger.commit(i % 2 === 0 ? group : group.reverse());
    }),
  );
  await Promise.all(rounds);
  t.match(await ledgers[0]?.totals(), { records: 4 * 24 });
  t.match(await ledgers[0]?.verify(), { records: 4 * 24, problemCount: 0 });
});

await t.test('a lost server: commits fail, ping fails, and both come back by themselves', async (t) => {
  const ledger = await opened(t, 'lost');
  await ledger.commit([entry({ seqs: [1, 2] })]);
  await server.kill();
  await t.rejects(ledger.commit([entry({ seqs: [3] })]));
  await t.rejects(ledger.ping());
  await server.start();
  await ledger.ping();
  t.match(await ledger.commit([entry({ seqs: [2, 3] })]), [{ new: 1, duplicate: 1 }]);
});

await t.test('a day of which everything leaves is dropped as a whole, another is left to rows', async (t) => {
  const daysAgo = (days: number) => systemClock.wallMs() - days * 86_400_000;
  for (const [days, stream] of [
    [9, 'telemetry'],
    [8, 'alarms'],
    [7, 'telemetry'],
  ] as const) {
    const clock = { ...systemClock, wallMs: () => daysAgo(days) };
    const ledger = await openPostgresLedger({ ...optionsOf('days'), clock, log });
    const gateways = seqs(1, 450).map((n) => `gw-${n}`);
    await ledger.commit(
      gateways.map((gateway) => entry({ gateway, stream, seqs: [days, days + 100] }, 'aws', daysAgo(days))),
    );
    await ledger.commit([entry({ gateway: 'gw-1', seqs: [days + 200] }, 'aws', daysAgo(days))]);
    await ledger.close();
  }
  const ledger = await opened(t, 'days');
  const db = connected(t, 'days');
  const rules = retentionRules.parse([{ streams: 'telemetry', max_age: '4d' }]);
  let left = 0;
  for (let more = true; more; ) {
    const step = await ledger.maintenance.retain(rules, systemClock.wallMs());
    left += step.records;
    more = step.more;
  }
  t.equal(left, 2 * 450 * 2 + 3);
  const days = await partitionDays(db);
  t.notOk(days.includes(dayOf(daysAgo(9))) || days.includes(dayOf(daysAgo(7))));
  t.ok(days.includes(dayOf(daysAgo(8))), 'the alarms are kept');
  t.match(await ledger.verify(), { problemCount: 0, records: 900 });
  t.match(await ledger.completeness('gw-1'), [{ stream: 'telemetry', withdrawn: { retention: 7 } }, {}]);
  t.match(await ledger.commit([entry({ gateway: 'gw-2', seqs: [9, 109] })]), [{ duplicate: 2, new: 0 }]);
  t.equal((await ledger.read(0, 2000)).length, 900);
});

await runLedgerContract(t, fileURLToPath(new URL('./postgres-engine.ts', import.meta.url)));

await t.test('three replicas, killed at random, and the server once (I5)', async (t) => {
  const report = await crashRun({
    engine: 'postgres',
    records: RECORDS,
    replicas: 3,
    seed: 7,
    say: (line) => t.comment(line),
  });
  t.ok(isClean(report), JSON.stringify(report));
});
