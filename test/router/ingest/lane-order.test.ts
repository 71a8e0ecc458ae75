import t from 'tap';
import { LaneOrder } from '../../../router/ingest/lane-order.ts';

t.test('work of a lane ends in the order in which it began; other lanes do not wait', async (t) => {
  const order = new LaneOrder();
  const slow = Promise.withResolvers<string>();
  const ended: string[] = [];
  const note = async (result: Promise<string>): Promise<void> => {
    ended.push(await result);
  };
  const all = [
    note(order.inOrder('a', slow.promise)),
    note(order.inOrder('a', Promise.resolve('a2'))),
    note(order.inOrder('b', Promise.resolve('b1'))),
    note(order.inOrder('a', Promise.resolve('a3'))),
  ];
  await all[2];
  t.strictSame(ended, ['b1']);
  slow.resolve('a1');
  await Promise.all(all);
  t.strictSame(ended, ['b1', 'a1', 'a2', 'a3']);
  t.equal(await order.inOrder('a', Promise.resolve('a4')), 'a4');
});
