import t from 'tap';
import { Traffic } from '../../../../agent/providers/credentials/traffic.ts';
import { systemClock } from '../../../../shared/clock.ts';

const LONG_MS = 5000;

t.test('one alone waits until all are out, and nobody comes in meanwhile', async (t) => {
  const traffic = new Traffic(systemClock);
  const order: string[] = [];
  t.ok(await traffic.enter(LONG_MS));
  t.ok(await traffic.enter(LONG_MS));
  const alone = traffic.alone(LONG_MS, async () => {
    order.push('alone');
    await systemClock.sleep(20);
    order.push('through');
    return 'done';
  });
  const after = traffic.enter(LONG_MS).then(() => order.push('next'));
  const second = traffic.alone(LONG_MS, async () => order.push('alone again'));
  traffic.leave();
  await systemClock.sleep(20);
  t.same(order, []);
  traffic.leave();
  t.equal(await alone, 'done');
  await after;
  traffic.leave();
  await second;
  t.same(order.slice(0, 2), ['alone', 'through']);
  t.same(order.slice(2).toSorted(), ['alone again', 'next']);
});

t.test('nobody waits longer than he said, and who gave up is not waited for', async (t) => {
  const traffic = new Traffic(systemClock);
  t.ok(await traffic.enter(LONG_MS));
  t.equal(await traffic.alone(20, async () => 'never'), null, 'somebody is inside');
  const release = Promise.withResolvers<string>();
  traffic.leave();
  const alone = traffic.alone(LONG_MS, () => release.promise);
  t.equal(await traffic.enter(20), false);
  t.equal(await traffic.alone(20, async () => 'never'), null);
  t.equal(await traffic.enter(0), false);
  release.resolve('done');
  t.equal(await alone, 'done');
  t.ok(await traffic.enter(LONG_MS));
});

t.test('one alone that fails lets the others in', async (t) => {
  const traffic = new Traffic(systemClock);
  await t.rejects(
    traffic.alone(LONG_MS, () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
  t.ok(await traffic.enter(LONG_MS));
});
