import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { leftMs, type ManualHold, type Moment, takenUp } from '../../../agent/holds/hold.ts';
import { holdFile } from '../../../agent/holds/hold-file.ts';
import { Holds } from '../../../agent/holds/holds.ts';
import { createLogger } from '../../../shared/log.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';

const HOUR_MS = 3_600_000;
const WALL_MS = Date.parse('2026-11-21T10:00:00Z');

function moment(bootId: string, hours: number, synchronised: boolean): Moment {
  return { bootId, monoMs: hours * HOUR_MS, wallMs: WALL_MS + hours * HOUR_MS, synchronised };
}

t.test('a hold counts monotonic time, wall time over a reboot, and never ends early (I7, I11)', async (t) => {
  const hold = (since: Moment): ManualHold => ({ provider: 'a', reason: 'x', since, forMs: 2 * HOUR_MS });
  const right = hold(moment('boot-1', 1, true));
  t.equal(leftMs({ ...right, forMs: null }, moment('boot-1', 99, true)), null);
  t.equal(leftMs(right, moment('boot-1', 2, true)), HOUR_MS);
  t.equal(leftMs(right, moment('boot-1', 9, true)), 0);
  t.equal(
    leftMs(right, { ...moment('boot-1', 2, true), wallMs: WALL_MS + 999 * HOUR_MS }),
    HOUR_MS,
    'a clock that is set',
  );
  const rebooted: Moment = { bootId: 'boot-2', monoMs: 5, wallMs: WALL_MS + 2 * HOUR_MS, synchronised: true };
  t.equal(leftMs(right, rebooted), HOUR_MS);
  t.equal(
    leftMs(right, { ...rebooted, wallMs: 0, synchronised: false }),
    2 * HOUR_MS,
    'until the clock is set, it stays',
  );
  t.equal(
    leftMs(right, { ...rebooted, wallMs: 0 }),
    2 * HOUR_MS,
    'a clock that was set back does not prolong it',
  );
  const unknown = hold(moment('boot-1', 1, false));
  t.equal(
    leftMs(takenUp(unknown, rebooted), { ...rebooted, monoMs: HOUR_MS + 5 }),
    HOUR_MS,
    'its time began anew',
  );
  t.same(takenUp(right, rebooted), right);
});

function holdsIn(folder: string, clock = new ManualClock(WALL_MS)) {
  const told: string[] = [];
  const events: string[] = [];
  const log = createLogger(
    { level: 'debug', levels: {} },
    { write: (line) => events.push(JSON.parse(line).event) },
  );
  const holds = new Holds({
    file: holdFile(join(folder, 'holds.json')),
    now: () => ({ bootId: 'boot-1', monoMs: clock.monoMs(), wallMs: clock.wallMs(), synchronised: true }),
    dispatch: (event) => told.push('provider' in event ? `${event.kind} ${event.provider}` : event.kind),
    clock,
    log,
  });
  return { holds, told, events, clock };
}

t.test('reasons nest: routing is told of the first and of the last; a restart keeps them', async (t) => {
  const folder = testDir(t);
  const first = holdsIn(folder);
  await first.holds.start();
  t.same(await first.holds.add('a', 'modem', null), { ok: true, kept: true });
  await first.holds.add('a', 'audit', HOUR_MS);
  await first.holds.add('a', 'audit', 2 * HOUR_MS);
  await first.holds.add('b', 'modem', null);
  t.same(first.told, ['hold a', 'hold b']);
  t.match(await first.holds.remove('a', 'storm'), { ok: false, problem: 'a has no hold "storm"' });
  await first.holds.remove('a', 'modem');
  t.same(first.told, ['hold a', 'hold b'], 'the other reason holds on');
  await first.holds.stop();

  const second = holdsIn(folder, first.clock);
  await second.holds.start();
  t.same(second.told, ['hold a', 'hold b']);
  t.match(second.holds.list(), [
    { provider: 'a', reason: 'audit', leftMs: 2 * HOUR_MS },
    { provider: 'b', reason: 'modem', leftMs: null },
  ]);
  second.clock.advance(2 * HOUR_MS + 1000);
  t.same(second.told, ['hold a', 'hold b', 'release a'], 'it ended by itself');
  t.match(await second.holds.remove('b', null), { ok: true });
  t.match(await second.holds.remove('b', null), { ok: false, problem: 'b has no manual hold' });
  await second.holds.stop();
  t.match(JSON.parse(readFileSync(join(folder, 'holds.json'), 'utf8')), { version: 1, holds: [] });
});

t.test('there are a hundred at most (I10); a disk or a file that is broken stops none (I9)', async (t) => {
  const folder = join(testDir(t), 'data');
  mkdirSync(folder);
  writeFileSync(join(folder, 'holds.json'), '{"version":1,"holds":[{"provider":"a"}]}');
  const { holds, told, events } = holdsIn(folder);
  await holds.start();
  t.same([told, events], [[], ['hold.file_damaged']]);
  rmSync(folder, { recursive: true });
  t.same(await holds.add('a', 'now', null), { ok: true, kept: false });
  t.same(told, ['hold a']);
  mkdirSync(folder);
  for (let i = 1; i < 100; i++) t.match(await holds.add('a', `${i}`, null), { kept: true });
  t.match(await holds.add('b', 'more', null), { ok: false, problem: 'there are 100 holds already' });
  t.match(await holds.add('a', '7', HOUR_MS), { ok: true }, 'one of them may begin anew');
  await holds.stop();
});
