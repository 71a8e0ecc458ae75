/** The ledger's maintenance in the background of the router. */

import { join } from 'node:path';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { retentionRules } from '../../router/ledger/options.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import { Maintenance } from '../../router/maintenance.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { entry, seqs } from './ledger/envelopes.ts';

const silent = createLogger({ level: 'silent', levels: {} });

async function opened(t: Test): Promise<Ledger> {
  const deadLetters = { rowsMax: 10, bytesMax: 1000, ageMsMax: 60_000 };
  const file = join(testDir(t), 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock: systemClock, log: silent, limits: { deadLetters } });
  t.teardown(() => ledger.close());
  return ledger;
}

t.test('what is past its age goes without anything new coming (I10)', async (t) => {
  const ledger = await opened(t);
  const letter = { source: 's', reason: 'cbor', detail: '', bytes: Buffer.of(1) };
  await ledger.deadLetter({ ...letter, receivedWallMs: systemClock.wallMs() - 70_000 });
  const service = new Maintenance({
    ledger: ledger.maintenance,
    retention: [],
    registry: new Registry(),
    clock: systemClock,
    log: silent,
    periodMs: 5,
  });
  await service.start();
  await until('the old letter leaves', async () => (await ledger.deadLetters(10)).length === 0);
  await service.stop();
});

t.test('a ledger that is away is said, and looked after when it is back (I9)', async (t) => {
  const ledger = await opened(t);
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  await ledger.close();
  const service = new Maintenance({
    ledger: ledger.maintenance,
    retention: [],
    registry: new Registry(),
    clock: systemClock,
    log,
    periodMs: 5,
  });
  await service.start();
  await until('two rounds have failed', () => lines.length >= 2);
  await service.stop();
  t.match(JSON.parse(lines[0] ?? ''), { event: 'maintenance.failed', error: /not open/ });
});

t.test('records leave by the rules, in steps, and are counted', async (t) => {
  const ledger = await opened(t);
  const oldMs = systemClock.wallMs() - 5 * 86_400_000;
  for (let i = 0; i < 500; i += 1)
    await ledger.commit([entry({ seqs: seqs(i * 10 + 1, i * 10 + 10) }, 'aws', oldMs)]);
  await ledger.commit([entry({ seqs: [5001] }, 'aws', systemClock.wallMs())]);
  const registry = new Registry();
  const retention = retentionRules.parse([{ streams: '*', max_age: '4d' }]);
  const service = new Maintenance({
    ledger: ledger.maintenance,
    retention,
    registry,
    clock: systemClock,
    log: silent,
  });
  await service.start();
  await until('the old records leave', async () => (await ledger.read(0, 10)).length === 1);
  await service.stop();
  t.match(await registry.metrics(), /^headgate_router_retention_records_total 5000$/m);
  t.match(await registry.metrics(), /^headgate_router_stored_bytes (1\d\d)$/m);
  t.match(await registry.metrics(), /^headgate_router_gateway_stored_bytes\{gateway="gw-1"\} (1\d\d)$/m);
  t.match(service.stored(), { gateways: [{ gateway: 'gw-1' }] });
  t.match(await ledger.completeness(), [{ completeTo: 5001, withdrawn: { retention: 5000 } }]);
});
