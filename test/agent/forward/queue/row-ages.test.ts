import fc from 'fast-check';
import t from 'tap';
import { RowAges } from '../../../../agent/forward/queue/row-ages.ts';

t.test('an age is never too small, and too great by a hundredth of what is remembered at most', async () => {
  const steps = fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 3000 });
  fc.assert(
    fc.property(steps, fc.nat(), (stepsMs, pick) => {
      const ages = new RowAges();
      const times: number[] = [];
      let nowMs = 0;
      for (const stepMs of stepsMs) {
        nowMs += stepMs;
        times.push(nowMs);
        ages.committed(times.length, nowMs);
      }
      const seq = 1 + (pick % times.length);
      const found = ages.atMs(seq) ?? Number.NaN;
      const trueMs = times[seq - 1] ?? Number.NaN;
      return found <= trueMs && trueMs - found <= nowMs / 100 + 1;
    }),
  );
});

t.test('commits of a year are remembered in some marks (I10)', async (t) => {
  const ages = new RowAges();
  for (let hour = 0; hour < 24 * 365; hour += 1) ages.committed(hour + 1, hour * 3_600_000);
  const marks = Array.from({ length: 24 * 365 }, (_, hour) => ages.isExact(hour + 1)).filter(Boolean).length;
  t.ok(marks <= 512, `${marks} marks`);
  t.equal(ages.atMs(1), 0);
  ages.forgetBefore(24 * 365);
  t.equal(ages.atMs(1), null);
  t.ok((ages.atMs(24 * 365) ?? 0) > 361 * 24 * 3_600_000);
});
