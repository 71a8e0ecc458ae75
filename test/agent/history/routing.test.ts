/** The history that a real agent writes of its routing, and its small size. */
import { join } from 'node:path';
import t from 'tap';
import { type Line, type LineOf, parseLine } from '../../../agent/history/lines.ts';
import { Load } from '../../../agent/history/stream-load.ts';
import { Tries } from '../../../agent/history/tries.ts';
import type { Outcome } from '../../../agent/providers/publisher.ts';
import type { SimulationReport } from '../../../shared/admin-api/simulation.ts';
import { headgate } from '../../cli/run.ts';
import { until } from '../../until.ts';
import { gatewayWith, untilAnswer } from './gateway.ts';

const ACCEPTED: Outcome = { kind: 'accepted' };
const DEADLINE: Outcome = { kind: 'unknown', cause: 'deadline', detail: 'no answer' };
const THROTTLED: Outcome = { kind: 'throttled', retryAfterMs: 7000, detail: '' };

t.test('the history of a real agent has its policy, tries, load, health and switches', async (t) => {
  const telemetry = { topics: ['#'], linger: '10ms', preferred_providers: ['a'] };
  const gateway = await gatewayWith(t, { policy: { streams: { telemetry }, failover: { dwell: '1s' } } });
  const lines = (): Line[] =>
    gateway
      .written()
      .split('\n')
      .flatMap((text) => parseLine(text) ?? []);
  const all = <Kind extends Line['k']>(kind: Kind): Array<LineOf<Kind>> =>
    lines().filter((line): line is LineOf<Kind> => line.k === kind);
  const written = <Kind extends Line['k']>(kind: Kind, wanted: (line: LineOf<Kind>) => boolean) =>
    untilAnswer(
      'such a line is there',
      async () => all(kind),
      (found) => found.some(wanted),
    );

  await gateway.publish('plant/temp', 30);
  const load = await written('load', ({ er }) => er > 0);
  t.equal(
    load.reduce((sum, { r }) => sum + r, 0),
    30,
    'records that came in',
  );
  t.equal(
    load.reduce((sum, { er }) => sum + er, 0),
    30,
    'records that left',
  );
  await gateway.brokers.a.down();
  await gateway.publish('plant/temp', 1);
  const away = await written('switch', ({ to }) => to === 'b');
  t.match(away.at(-1), { s: 'telemetry', from: 'a', to: 'b', why: 'breaker' });
  t.match(
    all('health').find(({ p }) => p === 'a'),
    { from: 'healthy', to: 'open', why: 'refused' },
  );
  const failed = await written('tries', ({ p, f }) => p === 'a' && f !== undefined);
  t.ok(
    failed.some(
      ({ f }) => (f?.['retryable/connection-refused'] ?? 0) + (f?.['retryable/not-connected'] ?? 0) > 0,
    ),
    JSON.stringify(failed),
  );
  t.match(all('setup'), [
    {
      gw: 'gw-1',
      policy: { streams: { telemetry: { linger: 10, redundancy: 1 } } },
      providers: [{ name: 'a' }, { name: 'b' }],
    },
  ]);
  t.match(all('state')[0], { chosen: {}, health: { a: ['healthy', 'start'] }, holds: {} });

  const chosenSinceMs = (): number => Math.max(...all('switch').map(({ m }) => m));
  const lastMs = (): number => Math.max(...all('tries').map(({ m, d }) => m + d));
  await until('the replay has two seconds at b to find', () => lastMs() - chosenSinceMs() >= 2000);
  await gateway.publish('plant/temp', 5);
  await untilAnswer(
    '36 records are counted as delivered',
    async () => all('load').reduce((sum, { er }) => sum + er, 0),
    (left) => left >= 36,
  );
  await gateway.agent.kill();
  await gateway.start();
  await written('state', () => all('state').filter(({ begins }) => begins).length > 1);
  const states = all('state');
  t.equal(states.filter(({ begins }) => begins).length, 2, 'it says that it began');
  t.equal(all('setup').length, 1, 'a policy that is known is not written again');

  const folder = join(gateway.dir, 'data', 'history');
  const { code, stdout } = await headgate(['simulate', '--history', folder, '--json']);
  t.equal(code, 0);
  const [replayed] = (JSON.parse(stdout) as SimulationReport).policies;
  t.ok((replayed?.streams[0]?.recordedSwitches ?? 0) > 0, 'it has the switches');
  t.ok((replayed?.streams[0]?.shares['b'] ?? 0) > 0, 'and it can be replayed');
});

t.test('a quiet minute is one line; ten seconds with a failure are one too', async (t) => {
  const tries = new Tries();
  let nowMs = 1000;
  const run = (count: number, outcome: Outcome, latencyMs: number): void => {
    for (let i = 0; i < count; i++) {
      nowMs += 500;
      tries.tried('aws', outcome, latencyMs, nowMs);
    }
  };
  run(119, ACCEPTED, 20);
  t.match(tries.lines(), [{ m: 1500, d: 59_000, p: 'aws', a: 119, l: [20, 20, 20] }]);
  run(40, ACCEPTED, 30);
  run(2, DEADLINE, 3000);
  run(10, ACCEPTED, 40);
  run(40, ACCEPTED, 50);
  run(1, THROTTLED, 10);
  const lines = tries.take();
  t.equal(lines.length, 5, JSON.stringify(lines, null, 1));
  t.equal(
    lines.reduce((sum, { a }) => sum + a, 0),
    209,
  );
  t.match(lines[2], { d: 9500, a: 18, f: { 'unknown/deadline': 2 }, fl: 3000, ff: [0, 500] });
  t.match(lines[4], { f: { throttled: 1 }, ra: 7000 });
  t.same(tries.lines(), []);
});

t.test('a million tries in a minute are one line of the same size (I10)', async (t) => {
  const tries = new Tries();
  for (let i = 0; i < 1_000_000; i++) tries.tried('aws', ACCEPTED, i / 10_000, 1000 + i * 0.05);
  const [line, ...others] = tries.lines();
  t.same(others, []);
  t.ok(JSON.stringify(line).length < 120, JSON.stringify(line));
  const [p50 = 0, , p99 = 0] = line?.l ?? [];
  t.ok(Math.abs(p50 - 50) < 2 && Math.abs(p99 - 99) < 2, `${p50} ${p99}`);
});

t.test('load is by stream and minute', async (t) => {
  const load = new Load();
  const range = { first: 1, last: 40 };
  const envelope = { provider: 'aws', epoch: '1-a', range, records: 40, bytes: 900 };
  load.committed({ stream: 'a', first: 1, last: 40, bytes: 4000 }, 1000);
  load.accepted({ ...envelope, stream: 'a' }, 1500);
  load.committed({ stream: 'a', first: 41, last: 41, bytes: 10 }, 61_000);
  t.same(load.take(), [
    { k: 'load', m: 1000, d: 500, s: 'a', r: 40, b: 4000, e: 1, er: 40, eb: 900 },
    { k: 'load', m: 61_000, d: 0, s: 'a', r: 1, b: 10, e: 0, er: 0, eb: 0 },
  ]);
});
