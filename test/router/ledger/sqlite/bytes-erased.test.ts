import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock as clock } from '../../../../shared/clock.ts';
import { createLogger } from '../../../../shared/log.ts';
import { testDir } from '../../../test-dir.ts';
import { DEVICE, fillWithTraces, tracesIn } from '../bytes-erased.ts';

const log = createLogger({ level: 'silent', levels: {} });

t.test('an erased record is in no byte of the files, beside a running router', async (t) => {
  const dir = testDir(t, {});
  const file = join(dir, 'ledger.db');
  const router = await openSqliteLedger({
    file,
    clock,
    log,
    role: 'router',
    conflictPolicyOf: () => 'last-write-wins',
  });
  t.teardown(() => router.close());
  const traces = await fillWithTraces(router);
  // Before the erasure: what retention removes must not stay behind either.
  await router.maintenance.retain([{ streams: '*', max_bytes: 200_000 }], clock.wallMs());
  t.ok(tracesIn(dir, traces) > 500);
  const tool = await openSqliteLedger({ file, clock, log, role: 'tool' });
  t.teardown(() => tool.close());
  const { records, versions } = await tool.maintenance.erase({ device: DEVICE, gateway: null }, 'ann');
  t.ok(records + versions > 100);
  t.equal(tracesIn(dir, traces), 0);
});

t.test(
  'a file of an older version, which left deleted records in its free pages, is rebuilt once',
  async (t) => {
    const dir = testDir(t, {});
    const file = join(dir, 'ledger.db');
    const first = await openSqliteLedger({ file, clock, log });
    const traces = await fillWithTraces(first);
    await first.close();
    const old = new Database(file);
    old.pragma('secure_delete = OFF');
    old.pragma('application_id = 0');
    old.exec('DELETE FROM record WHERE seq % 2 = 0 AND seq > 0');
    old.pragma('wal_checkpoint(TRUNCATE)');
    old.close();
    const ledger = await openSqliteLedger({ file, clock, log });
    t.teardown(() => ledger.close());
    t.ok(tracesIn(dir, traces) > 600, 'deleted records are there');
    await ledger.maintenance.erase({ device: DEVICE, gateway: null }, 'ann');
    t.equal(tracesIn(dir, traces), 0);
    t.equal(new Database(file, { readonly: true }).pragma('application_id', { simple: true }), 0x48_47_4c_31);
  },
);

t.test('a reader that keeps the log: the erasure fails, and is finished by the next', async (t) => {
  const dir = testDir(t, {});
  const file = join(dir, 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock, log });
  t.teardown(() => ledger.close());
  const traces = await fillWithTraces(ledger);
  const reader = new Database(file);
  reader.exec('BEGIN; SELECT count(*) FROM record');
  const target = { device: DEVICE, gateway: null };
  await t.rejects(ledger.maintenance.erase(target, 'ann'), { message: /run the command again/ });
  t.match(await ledger.maintenance.erasures(1), [{ finishedWallMs: null }]);
  reader.close();
  await ledger.maintenance.erase(target, 'ann');
  t.equal(tracesIn(dir, traces), 0);
});
