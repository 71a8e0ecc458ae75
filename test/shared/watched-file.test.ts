/** A watched file on a real disk: its faults, and a read that does not end. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WatchedFile } from '../../shared/watched-file.ts';
import { ManualClock } from '../manual-clock.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';

const POLL_MS = 5000;

function watch(t: Test) {
  const file = join(testDir(t), 'watched');
  const clock = new ManualClock();
  const [taken, problems]: [string[], string[]] = [[], []];
  let takes = 0;
  const take = async (): Promise<string | null> => {
    takes += 1;
    const text = await readFile(file, 'utf8');
    if (text.startsWith('bad')) return text;
    taken.push(text);
    return null;
  };
  const watched = new WatchedFile({ file, take, onProblem: (one) => problems.push(one), clock });
  t.teardown(() => watched.stop());
  return { file, clock, watched, taken, problems, takes: () => takes };
}

t.test('a change is taken, a fault is told once and ends nothing', async (t) => {
  const { file, clock, watched, taken, problems, takes } = watch(t);
  await watched.start();
  await watched.read();
  t.match(problems, [/ENOENT/]);
  t.equal(problems.length, 1, 'once');
  writeFileSync(file, 'one');
  clock.advance(POLL_MS);
  await until('the file is taken', () => taken.length === 1);
  writeFileSync(file, 'bad, and longer');
  await watched.read();
  await watched.read();
  t.same(problems.slice(1), ['bad, and longer']);
  t.equal(takes(), 2, 'what does not change is not read again');
  rmSync(file);
  await watched.read();
  writeFileSync(file, 'one more time');
  await watched.read();
  rmSync(file);
  await watched.read();
  t.match(problems.slice(2), [/ENOENT/, /ENOENT/], 'a fault that comes back is told again');
  t.same(taken, ['one', 'one more time']);
});

t.test('a stop waits for the read in flight', async (t) => {
  const { file, clock, watched, taken } = watch(t);
  writeFileSync(file, 'one');
  await watched.start();
  rmSync(file);
  execFileSync('mkfifo', [file]);
  clock.advance(POLL_MS);
  const stopped = watched.stop();
  await writeFile(file, 'two');
  await stopped;
  t.same(taken, ['one', 'two']);
});

t.test('a disk that does not answer holds up neither start nor stop', async (t) => {
  const { file, clock, watched, taken, problems } = watch(t);
  execFileSync('mkfifo', [file]);
  const started = watched.start();
  clock.advance(POLL_MS);
  await started;
  t.match(problems, [/^not read within/]);
  const stopped = watched.stop();
  clock.advance(POLL_MS);
  await stopped;
  await writeFile(file, 'late');
  await until('the read ended', () => taken.length === 1);
});
