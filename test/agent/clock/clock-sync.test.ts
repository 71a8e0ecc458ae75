import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ClockSync } from '../../../agent/clock/clock-sync.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';

/** A program that answers with the content of `file`, and records each call. */
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
  await until('it is asked', () => asked() !== '');
  writeFileSync(join(dir, 'answer'), 'yes\n');
  monoMs = 59_999;
  t.equal(sync.isSynchronised(), false, 'it said no, and is not asked again yet');
  await until('it is asked after a minute and says yes', () => {
    monoMs += 60_000;
    return sync.isSynchronised();
  });
  t.equal(asked(), 'x\nx\n');
});

t.test('where there is nobody to ask it is not synchronised, unless the configuration says so', async (t) => {
  const asked = join(testDir(t, { asked: '' }), 'asked');
  let monoMs = 0;
  const clock: Clock = { ...systemClock, monoMs: () => monoMs };
  const fails: [string, ...string[]] = ['/bin/sh', '-c', `echo x >> "${asked}"; exit 1`];
  const base = { clock, file: '/nonexistent', ask: fails };
  const auto = new ClockSync({ mode: 'auto', ...base });
  await until('it is asked a second time', () => {
    t.equal(auto.isSynchronised(), false);
    monoMs += 60_000;
    return readFileSync(asked, 'utf8') === 'x\nx\n';
  });
  const none = new ClockSync({ mode: 'auto', ...base, ask: ['/nonexistent/program'] });
  t.equal(none.isSynchronised(), false);
  t.equal(new ClockSync({ mode: 'assume', ...base }).isSynchronised(), true);
  t.equal(new ClockSync({ mode: 'never', ...base, file: '/' }).isSynchronised(), false);
});
