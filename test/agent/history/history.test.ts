import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { explainAt } from '../../../agent/history/explain-at.ts';
import { History } from '../../../agent/history/history.ts';
import { BootClocks } from '../../../agent/history/read.ts';
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { facts } from '../routing/core/world.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** 2026-11-20T00:00Z is monotonic time 0, while the clock is right. */
const OFFSET_MS = Date.parse('2026-11-20T00:00:00Z');
const EPOCH = '1-0a0b0c0d';

interface Machine {
  history: History;
  clock: ManualClock;
  events: string[];
  synchronised: boolean;
  hasRoom: boolean;
  /** Lets minutes pass, and due lines be written. */
  minutes(count: number): Promise<void>;
  /** Every entry as text, with its wall time. */
  entries(): Promise<string[]>;
}

async function machineIn(t: Test, folder: string, maxBytes = 2 ** 20, bootId = 'boot-1'): Promise<Machine> {
  const clock = new ManualClock(OFFSET_MS);
  const events: string[] = [];
  const log = createLogger(
    { level: 'debug', levels: {} },
    { write: (line) => events.push(JSON.parse(line).event) },
  );
  const machine: Omit<Machine, 'history' | 'minutes' | 'entries'> = {
    clock,
    events,
    synchronised: true,
    hasRoom: true,
  };
  const currentClock = (): EnvelopeClock =>
    machine.synchronised
      ? { bootId, offsetMs: OFFSET_MS, quality: 'synchronised' }
      : { bootId, offsetMs: 0, quality: 'unsynchronised' };
  const history = new History({
    folder,
    bounds: { maxBytes, maxAgeMs: 3 * DAY_MS },
    writeEveryMs: MINUTE_MS,
    setup: {
      gateway: 'gw-1',
      policy: policySchema.parse({}),
      providers: [facts('aws'), facts('own', { type: 'https' })],
    },
    routingNow: () => ({ providers: [], chosen: { telemetry: 'aws' }, inputs: [] }),
    currentClock,
    mayWrite: () => machine.hasRoom,
    clock,
    log,
  });
  await history.start();
  t.teardown(() => history.stop());
  const entries = async (): Promise<string[]> => {
    const clocks = new BootClocks();
    const found = [];
    for await (const entry of history.entries(clocks)) found.push(entry);
    return found.flatMap(({ boot, line }) => {
      if (line.k !== 'took') return [];
      const { wallMs, clock: quality } = clocks.wallOf(boot, line.m);
      return [`${new Date(wallMs).toISOString()} ${quality} ${line.k} ${line.r.join(' ')}`];
    });
  };
  // Now it has looked for what was written before, where that can be read.
  await entries().catch(() => []);
  return Object.assign(machine, {
    history,
    entries,
    async minutes(count: number) {
      for (let i = 0; i < count; i++) {
        clock.advance(MINUTE_MS);
        await entries();
      }
    },
  });
}

function take({ history }: Machine, first: number, last = first, provider = 'aws'): void {
  const envelope = { records: last - first + 1, bytes: 900 };
  history.accepted({ epoch: EPOCH, stream: 'telemetry', provider, range: { first, last }, ...envelope });
}

t.test('envelopes of a minute are one line, written once a minute and kept over restarts', async (t) => {
  const folder = join(testDir(t), 'history');
  const first = await machineIn(t, folder);
  for (let i = 0; i < 1000; i++) {
    first.clock.advance(10);
    take(first, i * 5 + 1, i * 5 + 5);
  }
  take(first, 9000);
  t.same(await first.entries(), ['2026-11-20T00:00:00.010Z synchronised took 1 5000 9000 9000']);
  t.throws(() => readdirSync(folder), { code: 'ENOENT' }, 'nothing is written before its time');
  await first.minutes(1);
  t.same(readdirSync(folder), ['00000001-2026-11-20.ndjson']);
  const file = join(folder, '00000001-2026-11-20.ndjson');
  const { size } = statSync(file);
  t.equal(readFileSync(file, 'utf8').match(/"k":"took"/g)?.length, 1);
  await first.minutes(60);
  t.equal(statSync(file).size, size, 'nothing happens, nothing is written');
  take(first, 5001);
  await first.history.stop();

  const second = await machineIn(t, folder);
  t.same(await second.entries(), [
    '2026-11-20T00:00:00.010Z synchronised took 1 5000 9000 9000',
    '2026-11-20T01:01:10.000Z synchronised took 5001 5001',
  ]);
});

t.test('the policy in force is known from the start on, though its file begins a minute later', async (t) => {
  const machine = await machineIn(t, testDir(t));
  await machine.minutes(2);
  t.match(await explainAt(machine.history, OFFSET_MS + 1000), {
    policyVersion: policySchema.parse({}).version,
    streams: [{ stream: 'telemetry', chosen: 'aws' }],
  });
});

t.test('the files stay within their bound, and the oldest go first (I10)', async (t) => {
  const folder = join(testDir(t), 'history');
  const machine = await machineIn(t, folder, 16_384);
  for (let i = 1; i <= 160; i++) {
    take(machine, i);
    await machine.minutes(1);
    const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    if (bytes > 16_384) t.fail(`${bytes} bytes`);
  }
  const entries = await machine.entries();
  t.ok(entries.length > 20 && entries.length < 150, `${entries.length} lines are left`);
  t.match(entries.at(-1), / took 160 160$/);
  t.match(entries[0], new RegExp(` took ${161 - entries.length} `), 'without a hole');
});

t.test('days end by a synchronised clock alone, and what was written before it with them (I7)', async (t) => {
  const folder = join(testDir(t), 'history');
  const machine = await machineIn(t, folder);
  machine.synchronised = false;
  take(machine, 1);
  await machine.minutes(1);
  t.same(readdirSync(folder), ['00000001-undated.ndjson']);
  t.same(await machine.entries(), ['1970-01-01T00:00:00.000Z unsynchronised took 1 1']);
  machine.synchronised = true;
  take(machine, 2);
  await machine.minutes(1);
  t.same(readdirSync(folder), ['00000001-undated.ndjson', '00000002-2026-11-20.ndjson']);
  t.match(
    (await machine.entries())[0],
    '2026-11-20T00:00:00.000Z synchronised took 1 1',
    'corrected when it is read',
  );
  machine.clock.advance(3 * DAY_MS);
  await machine.entries();
  machine.synchronised = false;
  take(machine, 3);
  await machine.minutes(1);
  t.equal(readdirSync(folder).length, 3, 'nothing ends while the day is not known');
  t.match(
    (await machine.entries()).at(-1),
    /^2026-11-23.* synchronised took 3 3$/,
    'what was known stays known',
  );
  machine.synchronised = true;
  machine.clock.advance(DAY_MS);
  await machine.entries();
  take(machine, 4);
  await machine.minutes(1);
  t.same(readdirSync(folder), ['00000003-undated.ndjson', '00000004-2026-11-24.ndjson']);
});

t.test('lines that are cut short or damaged are passed over, all others are read', async (t) => {
  const folder = join(testDir(t), 'history');
  mkdirSync(folder);
  const clock = `{"k":"clock","boot":"boot-0","off":${OFFSET_MS},"q":"synchronised"}`;
  const took = (r: string): string => `{"k":"took","m":0,"d":0,"ep":"${EPOCH}","s":"t","p":"aws","r":[${r}]}`;
  const text = [
    clock,
    took('1,2'),
    took('"1",2'),
    '\0\0\0\0',
    '{"k":"of a later version","m":1}',
    took('3,4'),
  ];
  writeFileSync(
    join(folder, '00000007-2026-11-20.ndjson'),
    `${text.join('\n')}\n${took('5,6').slice(0, -9)}`,
  );
  writeFileSync(join(folder, 'notes.txt'), 'not ours');
  const machine = await machineIn(t, folder);
  take(machine, 9);
  await machine.minutes(1);
  t.same(
    (await machine.entries()).map((entry) => entry.split(' took ')[1]),
    ['1 2', '3 4', '9 9'],
  );
  t.same(readdirSync(folder), ['00000007-2026-11-20.ndjson', 'notes.txt']);
  const written = readFileSync(join(folder, '00000007-2026-11-20.ndjson'), 'utf8');
  t.match(
    written,
    /\n\{"k":"clock","boot":"boot-1"/,
    'what follows a line that was cut short is not lost with it',
  );
});

t.test('a disk that takes nothing costs lines, not more, and one log line (I9, I10)', async (t) => {
  const folder = join(testDir(t), 'history');
  writeFileSync(folder, 'in the way');
  const machine = await machineIn(t, folder, 32_768);
  for (let i = 1; i <= 100; i++) {
    take(machine, i);
    machine.clock.advance(MINUTE_MS);
    // By then it has tried to write.
    await machine.entries().catch(() => []);
  }
  t.equal(machine.events.filter((event) => event === 'history.not_written').length, 1);
  t.ok(machine.events.includes('history.lines_lost'));
  rmSync(folder);
  machine.hasRoom = false;
  take(machine, 101);
  await machine.minutes(1);
  t.throws(() => readdirSync(folder), { code: 'ENOENT' }, 'the room that is left on a full disk is for data');
  machine.hasRoom = true;
  take(machine, 102);
  await machine.minutes(1);
  const entries = await machine.entries();
  t.match(entries.at(-1), / took 102 102$/);
  t.ok(
    entries.length >= 20 && entries.length < 60,
    `what waited, within its bound, is written: ${entries.length}`,
  );
});
