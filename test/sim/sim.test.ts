/**
 * The simulation in small: worlds of two seeds and of another, in which no invariant from I1 to I11 is
 * violated. docs/explanation/simulation.md says which check stands for which.
 */
import t, { type Test } from 'tap';
import { testSeed } from '../seed.ts';
import { replayCommand, shrink } from './shrink.ts';
import { runWorld, type WorldResult } from './world.ts';

const FIXED = [1, 2];
const DAYS = 0.25;

async function holds(t: Test, seed: number): Promise<WorldResult> {
  const options = { seed, days: DAYS };
  const result = await runWorld(options);
  if (result.violations.length > 0) {
    const small = await shrink({ options, result });
    t.strictSame(small.result.violations, [], replayCommand(small.options));
  }
  t.ok(result.records > 0, `seed ${seed}: ${result.faults} faults, ${result.records} records`);
  return result;
}

t.test('no invariant is violated in the worlds of fixed seeds', async (t) => {
  const causes = new Set<string>();
  for (const seed of FIXED)
    for (const cause of Object.keys((await holds(t, seed)).repeats)) causes.add(cause);
  for (const cause of ['redelivery', 'redundant']) t.ok(causes.has(cause), cause);
});

t.test('nor in that of another', async (t) => {
  const seed = FIXED.length + testSeed();
  t.comment(`npm run sim -- --seed ${seed} --seeds 1 --days ${DAYS}`);
  await holds(t, seed);
});

t.test('one seed is one run (I11)', async (t) => {
  const [first, second, other] = [
    await runWorld({ seed: 7, days: 0.1 }),
    await runWorld({ seed: 7, days: 0.1 }),
    await runWorld({ seed: 8, days: 0.1 }),
  ];
  t.equal(first.digest, second.digest);
  t.not(first.digest, other.digest);
});
