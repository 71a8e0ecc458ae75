import t from 'tap';
import { CutRows } from '../../../../agent/forward/queue/cut-rows.ts';

const ALL = { first: 1, last: 10 };
const ONE = { first: 3, last: 3 };

t.test('an outage is no fault of the rows: nothing was accepted between the cuts', async (t) => {
  const rows = new CutRows();
  for (let i = 0; i < 20; i += 1) t.notOk(rows.cut('a', ONE, 7));
  t.notOk(rows.isSuspect(ONE));
  t.notOk(rows.isHopeless('a', 3));
});

t.test('cuts of the same rows with an acceptance between are', async (t) => {
  const rows = new CutRows();
  t.notOk(rows.cut('a', ALL, 7));
  t.notOk(rows.cut('b', ALL, 9), 'of each provider by itself');
  t.notOk(rows.cut('a', { first: 11, last: 12 }, 8), 'other rows');
  t.ok(rows.cut('a', ALL, 9));
  t.ok(rows.isSuspect(ONE));
  t.ok(rows.cut('a', ONE, 9), 'a part of them, at once');
  for (let i = 10; i < 14; i += 1) t.ok(rows.cut('a', ONE, i));
  t.notOk(rows.isHopeless('a', 3), 'four with an acceptance before');
  t.ok(rows.cut('a', ONE, 14));
  t.ok(rows.isHopeless('a', 3));
  t.notOk(rows.isHopeless('b', 3));
  rows.forget(ALL);
  t.notOk(rows.isHopeless('a', 3));
  t.notOk(rows.isSuspect(ALL));
});

t.test('a provider that limits the gateway had another reason', async (t) => {
  const rows = new CutRows();
  rows.cut('a', ALL, 1);
  rows.cut('a', ALL, 2);
  rows.acquit('a');
  t.notOk(rows.isSuspect(ALL));
  t.notOk(rows.cut('a', ALL, 3));
});
