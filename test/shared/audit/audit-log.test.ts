/** The log on a real disk: several writers, power cuts, rotation, a full disk. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AuditLog, type Change } from '../../../shared/audit/audit-log.ts';
import type { Entry } from '../../../shared/audit/core/entry.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { folderWith } from '../../cli/run.ts';
import { ForwardClock } from '../../forward-clock.ts';

const CHANGE: Change = { who: { via: 'command', user: 'ann' }, action: 'device.add', target: 'pump-1' };

/** A second goes by with each wait. */
class Hurried extends ForwardClock {
  override sleep(): Promise<void> {
    this.advance(1000);
    return super.sleep(0);
  }
}

function logIn(dataDir: string, bounds?: { segmentBytes: number; totalBytes: number }): AuditLog {
  return new AuditLog({
    ...{ dataDir, program: 'agent', clock: systemClock, entropy: systemEntropy },
    ...(bounds && { bounds }),
  });
}

async function checked(log: AuditLog) {
  const entries: Entry[] = [];
  return { report: await log.check(({ entry }) => entries.push(entry)), entries };
}

function segments(dir: string): string[] {
  return readdirSync(join(dir, 'audit'))
    .filter((name) => name.endsWith('.ndjson'))
    .sort();
}

t.test('a change: begun, then done; files for the owner alone', async (t) => {
  const dir = folderWith(t, {});
  const log = logIn(dir);
  t.match((await checked(log)).report, { entries: 0, problemCount: 0, log: null });
  const begun = await log.begin({ ...CHANGE, detail: { groups: 'pumps', left: null } });
  await log.end(begun, CHANGE, { phase: 'done' });
  await log.note({ ...CHANGE, action: 'policy.applied', target: null });
  const { report, entries } = await checked(logIn(dir));
  t.match(report, { first: 1, last: 3, entries: 3, problemCount: 0, notes: [] });
  t.match(entries, [
    { seq: 1, phase: 'begun', of: null, detail: { groups: 'pumps' } },
    { seq: 2, phase: 'done', of: 1, action: 'device.add', target: 'pump-1' },
    { seq: 3, phase: 'noted', action: 'policy.applied', target: null },
  ]);
  t.equal(statSync(join(dir, 'audit')).mode & 0o777, 0o700);
  for (const name of readdirSync(join(dir, 'audit')))
    t.equal(statSync(join(dir, 'audit', name)).mode & 0o777, 0o600, name);
});

t.test('twenty writers at once, in four logs of one folder', async (t) => {
  const dir = folderWith(t, {});
  const logs = [logIn(dir), logIn(dir), logIn(dir), logIn(dir)];
  await Promise.all(logs.flatMap((log) => [1, 2, 3, 4, 5].map(() => log.note(CHANGE))));
  const { report } = await checked(logIn(dir));
  t.match(report, { first: 1, last: 20, entries: 20, problemCount: 0 });
});

t.test('an entry that a power cut ended at any byte is healed, and is not taken for a change', async (t) => {
  const whole = folderWith(t, {});
  const first = logIn(whole);
  await first.note(CHANGE);
  const [name = ''] = segments(whole);
  const file = readFileSync(join(whole, 'audit', name));
  const head = readFileSync(join(whole, 'audit', 'head.json'));
  await first.note(CHANGE);
  const both = readFileSync(join(whole, 'audit', name));
  for (const bytes of [1, 7, 100, both.length - file.length - 1]) {
    const dir = folderWith(t, {});
    mkdirSync(join(dir, 'audit'));
    writeFileSync(join(dir, 'audit', name), both.subarray(0, file.length + bytes));
    writeFileSync(join(dir, 'audit', 'head.json'), head);
    t.match((await checked(logIn(dir))).report, {
      entries: 1,
      problemCount: 0,
      notes: [/^\d+ bytes of an entry/],
    });
    await logIn(dir).note(CHANGE);
    t.match((await checked(logIn(dir))).report, { entries: 2, problemCount: 0, notes: [] });
  }
  // The whole entry is there, and the head was not written any more.
  writeFileSync(join(whole, 'audit', 'head.json'), head);
  t.match((await checked(logIn(whole))).report, { entries: 2, problemCount: 0 });
  await logIn(whole).note(CHANGE);
  t.match((await checked(logIn(whole))).report, { entries: 3, problemCount: 0 });
});

t.test('an end that was cut off is found, also after the next entry', async (t) => {
  const dir = folderWith(t, {});
  const log = logIn(dir);
  for (let i = 0; i < 3; i += 1) await log.note(CHANGE);
  const [name = ''] = segments(dir);
  const file = join(dir, 'audit', name);
  const [first = ''] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, `${first}\n`);
  const cut = [{ seq: 2, problem: 'entries 2 to 3 are missing: the end was cut off' }];
  t.match((await checked(log)).report.problems, cut);
  await log.note(CHANGE);
  t.match((await checked(log)).report.problems, [{ seq: 2, problem: 'entries 2 to 3 are missing' }]);
});

t.test(
  'a damaged last line: the next entry goes into a new file, and the check tells of the damage',
  async (t) => {
    const dir = folderWith(t, {});
    const log = logIn(dir);
    await log.note(CHANGE);
    await log.note(CHANGE);
    const [name = ''] = segments(dir);
    const file = join(dir, 'audit', name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/pump-1(?=.*\n$)/, 'pump-2'));
    await log.note(CHANGE);
    t.strictSame(segments(dir), ['000000000001.ndjson', '000000000003.ndjson']);
    const { report } = await checked(log);
    t.ok(report.problemCount > 0);
    t.match(report, { last: 3 });
  },
);

t.test('rotation: the chain goes over the files, and the log says which it dropped', async (t) => {
  const dir = folderWith(t, {});
  const log = logIn(dir, { segmentBytes: 1000, totalBytes: 4000 });
  for (let i = 0; i < 40; i += 1) await log.note(CHANGE);
  const files = segments(dir);
  t.ok(files.length > 2 && files.length < 8, files.join());
  t.not(files[0], '000000000001.ndjson');
  const { report } = await checked(log);
  t.match(report, { problemCount: 0, notes: [/dropped the older ones for room, and says so/] });
  t.ok((report.first ?? 0) > 1);
  // Without the entry that says so, it is a loss.
  const kept = files
    .slice(-1)
    .map((name) => readFileSync(join(dir, 'audit', name), 'utf8'))
    .join('');
  const other = folderWith(t, {});
  mkdirSync(join(other, 'audit'));
  writeFileSync(
    join(other, 'audit', files.at(-1) ?? ''),
    kept
      .split('\n')
      .filter((line) => !line.includes('dropped'))
      .join('\n'),
  );
  t.ok((await checked(logIn(other))).report.problemCount > 0);
});

t.test('a full disk: the change is refused, and the log is as it was', async (t) => {
  const dir = folderWith(t, {});
  const log = logIn(dir);
  await log.note(CHANGE);
  // Every write to it fails with ENOSPC: here that of the head, after the entry.
  symlinkSync('/dev/full', join(dir, 'audit', 'head.json.tmp'));
  await t.rejects(log.begin(CHANGE), { name: 'AuditRefused', message: /cannot be written: ENOSPC/ });
  unlinkSync(join(dir, 'audit', 'head.json.tmp'));
  t.match((await checked(log)).report, { problemCount: 0 });
  await log.note(CHANGE);
  t.match((await checked(log)).report, { problemCount: 0 });
  const [name = ''] = segments(dir);
  const other = folderWith(t, {});
  mkdirSync(join(other, 'audit'));
  symlinkSync(join(dir, 'audit', name), join(other, 'audit', '000000000001.ndjson'));
  await t.rejects(logIn(other).begin(CHANGE), { name: 'AuditRefused' }, 'a link is not followed');
});

t.test('the lock of a process that ended is taken away at once, another one after ten seconds', async (t) => {
  const dir = folderWith(t, {});
  mkdirSync(join(dir, 'audit'));
  const lock = join(dir, 'audit', 'lock');
  writeFileSync(lock, `${readlinkSync('/proc/self/ns/pid')} 4194305 1`);
  await logIn(dir).note(CHANGE);
  writeFileSync(lock, 'pid:[1] 1 1');
  const clock = new Hurried();
  const begunMs = clock.monoMs();
  await new AuditLog({ dataDir: dir, program: 'agent', clock, entropy: systemEntropy }).note(CHANGE);
  t.ok(clock.monoMs() - begunMs >= 10_000);
  t.match((await checked(logIn(dir))).report, { entries: 2, problemCount: 0 });
  t.notOk(readdirSync(join(dir, 'audit')).some((name) => name.startsWith('lock')));
});
