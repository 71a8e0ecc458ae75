import t from 'tap';
import { FairQueue } from '../../../../agent/broker/access/fair-queue.ts';

function drained(queue: FairQueue<string>): string[] {
  const items: string[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

t.test('sources have their turns; a newcomer waits for one item of each', async (t) => {
  const queue = new FairQueue<string>({ perSource: 10, total: 100 });
  for (const item of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) t.equal(queue.push(item.slice(0, 1), item), null);
  t.same(drained(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  t.equal(queue.size, 0);
});

t.test('a full source is refused, a full queue takes a place from the longest', async (t) => {
  const queue = new FairQueue<string>({ perSource: 3, total: 4 });
  for (const item of ['a1', 'a2', 'a3']) queue.push('a', item);
  t.equal(queue.push('a', 'a4'), 'a4', 'its own source is at its limit');
  t.equal(queue.push('b', 'b1'), null);
  t.equal(queue.push('c', 'c1'), 'a3', 'the newest of the longest');
  t.equal(queue.push('d', 'd1'), 'a2');
  t.equal(queue.push('e', 'e1'), 'e1', 'all are equally short: there is no place');
  t.equal(queue.push('b', 'b2'), 'b2');
  t.equal(queue.size, 4);
  t.same(
    queue.remove((item) => item === 'c1'),
    ['c1'],
  );
  t.equal(queue.size, 3);
  t.same(drained(queue), ['a1', 'b1', 'd1']);
});
