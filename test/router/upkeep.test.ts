/** The ledger's upkeep beside the router. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite.ts';
import { createUpkeep } from '../../router/upkeep.ts';
import { systemClock } from '../../shared/clock.ts';
import { createLogger } from '../../shared/log.ts';

const silent = createLogger({ level: 'silent', levels: {} });

async function opened(t: Test): Promise<Ledger> {
  const deadLetters = { rowsMax: 10, bytesMax: 1000, ageMsMax: 60_000 };
  const file = join(t.testdir(), 'ledger.db');
  const ledger = await openSqliteLedger({ file, clock: systemClock, log: silent, limits: { deadLetters } });
  t.teardown(() => ledger.close());
  return ledger;
}

t.test('what is past its age goes without anything new coming (I10)', async (t) => {
  const ledger = await opened(t);
  const letter = { source: 's', reason: 'cbor', detail: '', bytes: Buffer.of(1) };
  await ledger.deadLetter({ ...letter, receivedWallMs: systemClock.wallMs() - 70_000 });
  const { upkeep } = ledger;
  if (!upkeep) throw new Error('no upkeep');
  const service = createUpkeep({ upkeep, clock: systemClock, log: silent, periodMs: 5 });
  await service.start();
  while ((await ledger.deadLetters(10)).length > 0) await systemClock.sleep(5);
  await service.stop();
});

t.test('a ledger that is away is said, and looked after when it is back (I9)', async (t) => {
  const ledger = await opened(t);
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  const { upkeep } = ledger;
  if (!upkeep) throw new Error('no upkeep');
  await ledger.close();
  const service = createUpkeep({ upkeep, clock: systemClock, log, periodMs: 5 });
  await service.start();
  while (lines.length < 2) await systemClock.sleep(5);
  await service.stop();
  t.match(JSON.parse(lines[0] ?? ''), { event: 'upkeep.failed', error: /not open/ });
});
