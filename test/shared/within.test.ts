import t from 'tap';
import { within } from '../../shared/within.ts';
import { ManualClock } from '../manual-clock.ts';

t.test('work in time gives its value and ends the timer', async (t) => {
  const clock = new ManualClock();
  t.equal(await within(clock, 100, Promise.resolve('done'), () => 'late'), 'done');
  clock.advance(100);
});

t.test('work that is late gives what late returns, and its rejection is dropped', async (t) => {
  const clock = new ManualClock();
  const { promise, reject } = Promise.withResolvers<string>();
  const waited = within(clock, 100, promise, () => 'late');
  clock.advance(100);
  t.equal(await waited, 'late');
  reject(new Error('nobody hears this'));
  await new Promise(setImmediate);
});

t.test('work that fails in time rejects, and ends the timer', async (t) => {
  const clock = new ManualClock();
  let wasLate = false;
  await t.rejects(
    within(clock, 100, Promise.reject(new Error('broken')), () => {
      wasLate = true;
    }),
    { message: 'broken' },
  );
  clock.advance(1000);
  t.equal(wasLate, false);
});
