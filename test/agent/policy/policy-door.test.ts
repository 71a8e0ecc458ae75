/** One policy after the other, each after its rules are on the disk; a disk that refuses changes nothing. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PolicyDoor, type PolicyDoorOptions } from '../../../agent/policy/policy-door.ts';
import { systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { type Policy, policySchema } from '../../../shared/policy/policy.ts';
import { testDir } from '../../test-dir.ts';

function policy(version: number, streams: object = {}): Policy {
  return policySchema.parse({ version, streams: { ...streams, rest: { topics: ['#'] } } });
}

async function doorOn(t: Test, file: string, more: Partial<PolicyDoorOptions> = {}) {
  const lines: Array<Record<string, unknown>> = [];
  const log = createLogger({ level: 'debug', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const door = await PolicyDoor.open({
    file,
    gateway: 'gw-1',
    policy: policy(1, { pumps: { topics: ['pumps'], redundancy: 2 } }),
    complete: (given) => given,
    receipts: true,
    clock: systemClock,
    log,
    ...more,
  });
  const held = new Set<string>();
  const taken: Policy[] = [];
  /** The streams in the file at the moment of each step. */
  const written: string[][] = [];
  door.leadsTo({
    held: () => held,
    takeEffect(present) {
      taken.push(present);
      written.push(streamsIn(file));
    },
  });
  t.teardown(() => door.stop());
  return { door, lines, held, taken, written };
}

function streamsIn(file: string): string[] {
  return Object.keys(JSON.parse(readFileSync(file, 'utf8')).streams);
}

t.test('the rules are on the disk before they hold, and the old ones stay', async (t) => {
  const file = join(testDir(t), 'rules.json');
  const { door, taken, written } = await doorOn(t, file);
  await door.start();
  t.strictSame(streamsIn(file), ['pumps', 'rest']);
  t.equal(await door.take(policy(2)), true);
  t.equal(await door.take(policy(2)), false, 'the same again');
  const [, both] = await Promise.all([
    door.take(policy(3, { fans: { topics: ['fans'] } })),
    door.take(policy(4)),
  ]);
  t.equal(both, true);
  t.strictSame(
    taken.map(({ version, streams }) => [version, Object.keys(streams)]),
    [
      [2, ['rest', 'pumps']],
      [3, ['fans', 'rest', 'pumps']],
      [4, ['rest', 'pumps', 'fans']],
    ],
    'one after the other',
  );
  t.strictSame(
    written.map((names) => names.toSorted()),
    [
      ['pumps', 'rest'],
      ['fans', 'pumps', 'rest'],
      ['fans', 'pumps', 'rest'],
    ],
  );
  t.equal(door.present, taken.at(-1));
  t.strictSame(door.draining, new Set(['pumps', 'fans']));
  t.match(door.state, { version: 4, refused: null });
});

t.test('a start forgets streams of which the buffer holds nothing, if it is open', async (t) => {
  const file = join(testDir(t), 'rules.json');
  const first = await doorOn(t, file);
  await first.door.start();
  const next = { policy: policy(2) };
  const closed = await doorOn(t, file, next);
  closed.door.leadsTo({ held: () => null, takeEffect: () => undefined });
  await closed.door.start();
  t.strictSame(closed.door.draining, new Set(['pumps']), 'nobody knows');
  const waiting = await doorOn(t, file, next);
  waiting.held.add('pumps');
  await waiting.door.start();
  t.match(waiting.door.present.streams['pumps'], { topics: [], redundancy: 2 });
  t.match(waiting.lines, [{ event: 'policy.draining', stream: 'pumps', redundancy: 2 }]);
  const empty = await doorOn(t, file, next);
  await empty.door.start();
  t.strictSame(empty.door.draining, new Set());
  t.strictSame(streamsIn(file), ['rest']);
});

t.test('without downlinks no stream waits for a receipt', async (t) => {
  const file = join(testDir(t), 'rules.json');
  const pumps = { topics: ['pumps'], until: 'receipt' };
  const { door } = await doorOn(t, file, { policy: policy(1, { pumps }) });
  await door.start();
  const kept = await doorOn(t, file, { policy: policy(2) });
  t.equal(kept.door.present.streams['pumps']?.until, 'receipt');
  const freed = await doorOn(t, file, { policy: policy(2), receipts: false });
  t.equal(freed.door.present.streams['pumps']?.until, 'cloud');
});

t.test('a disk that refuses the rules: the running policy goes on, and the next try counts', async (t) => {
  const folder = join(testDir(t), 'data');
  const file = join(folder, 'rules.json');
  const { door, taken, lines } = await doorOn(t, file);
  await door.start();
  t.match(lines, [{ event: 'policy.rules_not_written', level: 'error' }], 'and the start goes on');
  await t.rejects(door.take(policy(2)), { code: 'ENOENT' });
  t.strictSame(taken, []);
  t.equal(door.state.version, 1);
  door.refuse('no such folder');
  t.match(door.state.refused, { problem: 'no such folder' });
  mkdirSync(folder);
  t.equal(await door.take(policy(2)), true);
  t.equal(door.state.refused, null);
  rmSync(folder, { recursive: true });
  await t.rejects(door.take(policy(3)));
  t.equal(door.state.version, 2);
});

t.test('a damaged file says so, and no stream drains', async (t) => {
  const file = join(testDir(t), 'rules.json');
  mkdirSync(file);
  const { door, lines } = await doorOn(t, file, { policy: policy(2) });
  t.match(lines, [{ event: 'policy.rules_damaged', problem: 'EISDIR' }]);
  t.strictSame(Object.keys(door.present.streams), ['rest']);
});
