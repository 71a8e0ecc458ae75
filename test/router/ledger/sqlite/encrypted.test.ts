/** A ledger whose file is encrypted. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openSqliteLedger } from '../../../../router/ledger/sqlite/engine.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { testDir } from '../../../test-dir.ts';

const KEY = Buffer.alloc(32, 7);
const log = { warn: () => undefined };

t.test('a router encrypts it, and a tool with its key reads it', async (t) => {
  const folder = testDir(t);
  const options = { file: join(folder, 'ledger.db'), clock: systemClock, log };
  const plain = await openSqliteLedger({ ...options, role: 'router' });
  await plain.resetFeedPosition('archive', 42);
  await plain.close();
  await t.rejects(openSqliteLedger({ ...options, role: 'tool', key: KEY }), /is not encrypted yet/);
  const encrypted = await openSqliteLedger({ ...options, role: 'router', key: KEY });
  t.match(await encrypted.loadFeedPosition('archive'), { offset: 42 });
  await encrypted.resetFeedPosition('archive', 43);
  const tool = await openSqliteLedger({ ...options, role: 'tool', key: KEY });
  t.match(await tool.loadFeedPosition('archive'), { offset: 43 });
  await tool.close();
  await t.rejects(openSqliteLedger({ ...options, role: 'tool' }), { name: 'StartRefused', exitCode: 78 });
  await encrypted.close();
  const inClear = readdirSync(folder).filter((name) =>
    readFileSync(join(folder, name)).includes('CREATE TABLE'),
  );
  t.same(inClear, ['ledger.db.lock']);
});
