import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ClockSync } from '../../../agent/clock/clock-sync.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { testDir } from '../../test-dir.ts';

/** A program that answers with what is in `file`, and writes down that it was asked. */
function asking(file: string, asked: string): [string, ...string[]] {
  return ['/bin/sh', '-c', `cat "${file}"; echo x >> "${asked}"`];
}

t.test('systemd-timesyncd says it with a file, and once is enough for a boot', async (t) => {
  const dir = testDir(t, { answer: 'no\n' });
  const file = join(dir, 'synchronized');
  const sync = new ClockSync({
    mode: 'auto',
    clock: systemClock,
    file,
    ask: asking(join(dir, 'answer'), join(dir, 'asked')),
  });
  t.equal(sync.isSynchronised(), false);
  writeFileSync(file, '');
  t.equal(sync.isSynchronised(), true);
  t.equal(sync.isSynchronised(), true);
});

t.test('others are asked for by timedatectl: once a minute, until it says yes', async (t) => {
  const dir = testDir(t, { answer: 'no\n', asked: '' });
  let monoMs = 0;
  const clock: Clock = { ...systemClock, monoMs: () => monoMs };
  const ask = asking(join(dir, 'answer'), join(dir, 'asked'));
  const sync = new ClockSync({ mode: 'auto', clock, file: join(dir, 'none'), ask });
  const asked = () => readFileSync(join(dir, 'asked'), 'utf8');
  t.equal(sync.isSynchronised(), false);
  for (let i = 0; i < 500 && asked() === ''; i++) await systemClock.sleep(10);
  writeFileSync(join(dir, 'answer'), 'yes\n');
  await systemClock.sleep(200);
  t.equal(sync.isSynchronised(), false, 'it said no, and is not asked again yet');
  t.equal(asked(), 'x\n');
  monoMs = 60_000;
  for (let i = 0; i < 500 && !sync.isSynchronised(); i++) await systemClock.sleep(10);
  t.equal(sync.isSynchronised(), true);
});

t.test('where there is nobody to ask it is not synchronised, unless the configuration says so', async (t) => {
  const base = { clock: systemClock, file: '/nonexistent', ask: ['/nonexistent/program'] as [string] };
  const auto = new ClockSync({ mode: 'auto', ...base });
  t.equal(auto.isSynchronised(), false);
  await systemClock.sleep(50);
  t.equal(auto.isSynchronised(), false);
  t.equal(new ClockSync({ mode: 'assume', ...base }).isSynchronised(), true);
  t.equal(new ClockSync({ mode: 'never', ...base, file: '/' }).isSynchronised(), false);
});
