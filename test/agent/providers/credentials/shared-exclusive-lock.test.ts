import t from 'tap';
import { SharedExclusiveLock } from '../../../../agent/providers/credentials/shared-exclusive-lock.ts';
import { ManualClock } from '../../../manual-clock.ts';

const LONG_MS = 5000;

t.test('the exclusive holder waits until all are out, and no other comes in meanwhile', async (t) => {
  const lock = new SharedExclusiveLock(new ManualClock());
  const order: string[] = [];
  t.ok(await lock.enter(LONG_MS));
  t.ok(await lock.enter(LONG_MS));
  const done = Promise.withResolvers<void>();
  const alone = lock.exclusive(LONG_MS, async () => {
    order.push('alone');
    await done.promise;
    order.push('done');
    return 'done';
  });
  const after = lock.enter(LONG_MS).then(() => order.push('next'));
  const second = lock.exclusive(LONG_MS, async () => order.push('alone again'));
  lock.leave();
  t.same(order, []);
  lock.leave();
  done.resolve();
  t.equal(await alone, 'done');
  await after;
  lock.leave();
  await second;
  t.same(order.slice(0, 2), ['alone', 'done']);
  t.same(order.slice(2).toSorted(), ['alone again', 'next']);
});

t.test('a wait ends at its limit, and is not waited for', async (t) => {
  const clock = new ManualClock();
  const lock = new SharedExclusiveLock(clock);
  t.ok(await lock.enter(LONG_MS));
  const blocked = lock.exclusive(20, async () => 'never');
  clock.advance(20);
  t.equal(await blocked, null, 'it is shared');
  const release = Promise.withResolvers<string>();
  lock.leave();
  const alone = lock.exclusive(LONG_MS, () => release.promise);
  const late = [lock.enter(20), lock.exclusive(20, async () => 'never')];
  clock.advance(20);
  t.same(await Promise.all(late), [false, null]);
  t.equal(await lock.enter(0), false);
  release.resolve('done');
  t.equal(await alone, 'done');
  t.ok(await lock.enter(LONG_MS));
});

t.test('an exclusive holder that fails lets the others in', async (t) => {
  const lock = new SharedExclusiveLock(new ManualClock());
  await t.rejects(
    lock.exclusive(LONG_MS, () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
  t.ok(await lock.enter(LONG_MS));
});
