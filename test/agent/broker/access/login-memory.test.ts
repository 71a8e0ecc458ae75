import t from 'tap';
import { FailedLogins, RememberedLogins } from '../../../../agent/broker/access/login-memory.ts';

const ADDRESS = '10.0.0.1';
const TAG = Buffer.from('tag');

t.test('ten failures are many, for a minute from the first on', (t) => {
  const failed = new FailedLogins();
  const login = { address: ADDRESS, name: 'pump' };
  for (let i = 0; i < 9; i += 1) failed.add(login, i);
  t.notOk(failed.areMany(login, 9));
  failed.add(login, 10);
  t.ok(failed.areMany(login, 59_999));
  t.notOk(failed.areMany(login, 60_000));
  t.notOk(failed.areMany({ address: '10.0.0.2', name: 'pump' }, 10));
  t.end();
});

t.test('10,000 failing names are remembered, and the oldest is forgotten for one more (I10)', (t) => {
  const failed = new FailedLogins();
  const name = (i: number) => ({ address: ADDRESS, name: `guess-${i}` });
  for (let i = 0; i < 10_000; i += 1) for (let times = 0; times < 10; times += 1) failed.add(name(i), 0);
  t.ok(failed.areMany(name(0), 1));
  failed.add(name(10_000), 1);
  t.notOk(failed.areMany(name(0), 1));
  t.ok(failed.areMany(name(1), 1));
  t.end();
});

t.test('10,000 right passwords are remembered, the oldest use is forgotten for one more (I10)', (t) => {
  const remembered = new RememberedLogins();
  for (let i = 0; i < 10_000; i += 1) remembered.add(`pump-${i}`, TAG, 0);
  remembered.add('pump-0', TAG, 0);
  remembered.add('pump-10000', TAG, 0);
  t.ok(remembered.has('pump-0', TAG, 1), 'it was used again');
  t.notOk(remembered.has('pump-1', TAG, 1));
  t.notOk(remembered.has('pump-2', Buffer.from('gat'), 1));
  t.notOk(remembered.has('pump-2', TAG, 7 * 86_400_000));
  t.end();
});
