/** The ledger's thread: another program's lock on the file blocks no other loop. */
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import type { Ledger } from '../../../../router/ledger/ledger.ts';
import type { LedgerRole } from '../../../../router/ledger/role.ts';
import { openLedgerThread } from '../../../../router/ledger/sqlite/thread.ts';
import { EntryRefused } from '../../../../router/ledger/types.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { testDir } from '../../../test-dir.ts';
import { entry, gap, seqs } from '../envelopes.ts';

async function opened(
  t: Test,
  file: string,
  options: { role?: LedgerRole; lines?: Record<string, unknown>[] } = {},
): Promise<Ledger> {
  const { lines = [], role } = options;
  const log = { warn: (fields: Record<string, unknown>) => void lines.push(fields) };
  const ledger = await openLedgerThread({ file, limits: {}, conflicts: [], clock: systemClock, log, role });
  t.teardown(() => ledger.close());
  return ledger;
}

t.test('while another program has the file locked, the loop turns', async (t) => {
  const file = join(testDir(t), 'ledger.db');
  const ledger = await opened(t, file);
  const other = new Database(file);
  t.teardown(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  let isOver: boolean = false;
  const commit = ledger.commit([entry({ seqs: [1] })]).finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 200; turn += 1) await nextTurn();
  t.equal(isOver, false, 'the commit waits in its thread');
  other.exec('COMMIT');
  t.match(await commit, [{ new: 1 }]);
});

t.test('refusals and log lines come over as what they are', async (t) => {
  const dir = testDir(t);
  const lines: Record<string, unknown>[] = [];
  const ledger = await opened(t, join(dir, 'ledger.db'), { role: 'router', lines });
  await ledger.commit([entry({ seqs: [1] })]);
  await ledger.commit([entry({ seqs: [1], text: 'other' })]);
  t.match(lines, [{ event: 'ledger.conflict', records: 1 }]);
  const holes = Array.from({ length: 100_001 }, (_, i) => gap(2 * i + 2, 2 * i + 2));
  const error = await ledger.commit([entry({ gaps: holes })]).catch((thrown: unknown) => thrown);
  t.ok(error instanceof EntryRefused);
  t.match(error, { reason: 'limit' });
  await t.rejects(opened(t, join(dir, 'ledger.db'), { role: 'router' }), {
    name: 'StartRefused',
    exitCode: 1,
    message: /another router/,
  });
  t.match(await ledger.commit([entry({ seqs: seqs(1, 3) })]), [{ new: 2, conflict: 0 }], 'and it goes on');
});

t.test('a group that comes in many pieces is one transaction, and the loop turns meanwhile', async (t) => {
  const ledger = await opened(t, join(testDir(t), 'ledger.db'));
  const group = Array.from({ length: 512 }, (_, i) => entry({ gateway: `gw-${i}`, seqs: seqs(1, 25) }));
  const holes = Array.from({ length: 100_001 }, (_, i) => gap(2 * i + 2, 2 * i + 2));
  const refused = entry({ gateway: 'gw-holes', gaps: holes });
  const error = await ledger.commit([...group, refused]).catch((thrown: unknown) => thrown);
  t.match(error, { name: 'EntryRefused', reason: 'limit' });
  t.match(await ledger.totals(), { records: 0 }, 'the refusal of the last entry leaves none of the others');
  const order: string[] = [];
  const commit = ledger.commit(group).then((results) => {
    order.push('commit');
    return results;
  });
  const totals = ledger.totals();
  const turn = nextTurn().then(() => order.push('turn'));
  t.equal(
    (await commit).reduce((sum, result) => sum + result.new, 0),
    12_800,
  );
  await turn;
  t.strictSame(order, ['turn', 'commit']);
  t.match(await totals, { records: 12_800 }, 'a call made meanwhile is answered after the commit');
});

t.test('a closed ledger says so, also when it is closed twice', async (t) => {
  const ledger = await opened(t, join(testDir(t), 'ledger.db'));
  await Promise.all([ledger.close(), ledger.close()]);
  await t.rejects(ledger.ping(), { message: /not open/ });
  await t.rejects(ledger.commit([entry({ seqs: [1] })]), { message: /not open/ });
});
