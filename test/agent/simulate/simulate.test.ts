import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { History } from '../../../agent/history/history.ts';
import type { Line, LineOf } from '../../../agent/history/lines.ts';
import type { RoutingEvent } from '../../../agent/routing/core/core.ts';
import { simulate } from '../../../agent/simulate/simulate.ts';
import type { PolicyReplay, SimulationReport } from '../../../shared/admin-api/simulation.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import type { Policy, ProviderFacts } from '../../../shared/policy/policy.ts';
import { envelopeCostUsd, standardTariff } from '../../../shared/pricing/metering.ts';
import { command } from '../../cli/run.ts';
import { testDir } from '../../test-dir.ts';
import { accept, blackhole, facts, policyOf, refuse, World } from '../routing/core/world.ts';

const MINUTE_MS = 60_000;
const START_MS = Date.parse('2026-11-20T00:00:00Z');
const ALWAYS = { from: 0, to: Number.MAX_SAFE_INTEGER };

interface Told {
  providers: ProviderFacts[];
  policy: Policy;
  minutes: number;
  /** By provider, the minutes (from, to) in which it refused everything. */
  down?: Record<string, [number, number]>;
  /** Records a minute of `telemetry`, ten to an envelope. */
  rate?: number;
  more?: Line[];
}

/** A history as an agent writes it, of an hour given by the test. */
function historyOf(t: Test, { providers, policy, minutes, down = {}, rate = 600, more = [] }: Told): string {
  const folder = join(testDir(t), 'history');
  const lines: Line[] = [
    { k: 'clock', boot: 'boot-1', off: START_MS, q: 'synchronised' },
    { k: 'setup', m: 0, gw: 'gw-1', policy, providers },
    { k: 'state', m: 0, begins: true, chosen: {}, health: {}, holds: {} },
  ];
  for (let minute = 0; minute < minutes; minute++) {
    const m = minute * MINUTE_MS;
    const counts = { r: rate, b: rate * 100, e: rate / 10, er: rate, eb: rate * 50 };
    lines.push({ k: 'load', m, d: MINUTE_MS, s: 'telemetry', ...counts });
    for (const { name } of providers) {
      const [from, to] = down[name] ?? [0, 0];
      const times = { k: 'tries', m, d: MINUTE_MS, p: name } as const;
      if (minute < from || minute >= to) lines.push({ ...times, a: 60, l: [20, 30, 40] });
      else
        lines.push({ ...times, a: 0, f: { 'retryable/connection-refused': 6 }, fl: 2, ff: [0, MINUTE_MS] });
    }
  }
  mkdirSync(folder);
  const text = [...lines, ...more].map((line) => `${JSON.stringify(line)}\n`).join('');
  writeFileSync(join(folder, '00000001-2026-11-20.ndjson'), text);
  return folder;
}

function policyFile(t: Test, name: string, document: object): string {
  const file = join(t.testdirName, `${name}.yaml`);
  writeFileSync(file, stringify(document));
  return file;
}

async function reportOf(folder: string, files: string[], span = ALWAYS): Promise<SimulationReport> {
  const result = await simulate(folder, files, span);
  if (result.kind !== 'done') throw new Error(JSON.stringify(result));
  return result.report;
}

const preferring = (name: string) => ({
  streams: { telemetry: { topics: ['#'], preferred_providers: [name] } },
});
const telemetryOf = ({ streams }: PolicyReplay) => streams.find(({ stream }) => stream === 'telemetry');
const isNear = (value: number | undefined, wanted: number, by: number): boolean =>
  Math.abs((value ?? Number.NaN) - wanted) <= by;

t.test(
  'a split policy in the same weather: shared out by weight, and by the others while one is down',
  async (t) => {
    const folder = historyOf(t, {
      providers: [facts('a'), facts('b')],
      policy: policyOf(preferring('a')),
      minutes: 60,
      down: { a: [20, 40] },
    });
    const split = { streams: { telemetry: { topics: ['#'], mode: 'split', shares: { a: 3, b: 1 } } } };
    const [, other] = (await reportOf(folder, [policyFile(t, 'split', split)])).policies;
    if (!other) throw new Error('two policies');
    // Three quarters of forty minutes, and less the dwell after the outage.
    t.ok(isNear(telemetryOf(other)?.shares['a'], 0.5, 0.02), JSON.stringify(telemetryOf(other)));
    t.ok(isNear(telemetryOf(other)?.shares['b'], 0.5, 0.02));
    const [a, b] = other.providers;
    t.ok(a && b && a.units > 0.9 * b.units && a.units < 1.1 * b.units, `${a?.units} and ${b?.units} units`);
    t.match(other, { nowhereMs: 0 });
  },
);

t.test(
  'another policy in the same weather: shares, switches, time at risk; twice the same (I11)',
  async (t) => {
    const folder = historyOf(t, {
      providers: [facts('a'), facts('b')],
      policy: policyOf(preferring('a')),
      minutes: 60,
      down: { a: [20, 30] },
    });
    const file = policyFile(t, 'b-first', preferring('b'));
    const report = await reportOf(folder, [file]);
    const [recorded, other] = report.policies;
    if (!recorded || !other) throw new Error('two policies');
    t.match(report, {
      gateway: 'gw-1',
      from: '2026-11-20T00:00:00.000Z',
      replayedMs: 60 * MINUTE_MS,
      notes: [],
    });
    t.match(recorded, { policy: 'recorded', switches: 2 });
    t.match(telemetryOf(recorded), { switches: { breaker: 1, preferred: 1 }, nowhereMs: 0 });
    t.ok(isNear(telemetryOf(recorded)?.shares['b'], 10.5 / 60, 0.015), JSON.stringify(telemetryOf(recorded)));
    t.match(other, { policy: file, switches: 0, nowhereMs: 0 });
    t.same(telemetryOf(other)?.shares, { b: 1 });
    for (const { atRiskMs } of [recorded, other])
      t.ok(isNear(atRiskMs, 10 * MINUTE_MS, MINUTE_MS), `one left for ten minutes: ${atRiskMs}`);
    t.ok(isNear(telemetryOf(recorded)?.records, 36_000, 700), JSON.stringify(telemetryOf(recorded)));
    t.same(await reportOf(folder, [file]), report);
    const half = await reportOf(folder, [file], {
      from: START_MS + 35 * MINUTE_MS,
      to: START_MS + 50 * MINUTE_MS,
    });
    t.match(half, {
      from: '2026-11-20T00:35:00.000Z',
      to: '2026-11-20T00:50:00.000Z',
      replayedMs: 15 * MINUTE_MS,
    });
    t.equal(half.policies[0]?.switches, 0, 'the outage is not in it');
  },
);

t.test('a residency is kept in a replay too: its stream waits (I4)', async (t) => {
  const folder = historyOf(t, {
    providers: [facts('a'), facts('b', { region: 'us-east-1' })],
    policy: policyOf(preferring('a')),
    minutes: 30,
    down: { a: [10, 20] },
  });
  const inEu = { streams: { telemetry: { topics: ['#'], data_residency: 'eu' } } };
  const [, other] = (await reportOf(folder, [policyFile(t, 'eu', inEu)])).policies;
  const replayed = other && telemetryOf(other);
  t.equal(replayed?.shares['b'], undefined);
  t.ok(isNear(replayed?.nowhereMs, 10 * MINUTE_MS, MINUTE_MS), JSON.stringify(replayed));
  t.ok(isNear(replayed?.mostWaiting, 6000, 600), 'and its records with it');
});

t.test('cost is what the meter would count; a budget holds; copies cost twice', async (t) => {
  const providers = [facts('cloud', { type: 'aws' }), facts('own')];
  const folder = historyOf(t, { providers, policy: policyOf(preferring('cloud')), minutes: 60 });
  const tight = { ...preferring('cloud'), cost: { budget: 0.002 } };
  const both = { streams: { telemetry: { topics: ['#'], redundancy: 2 } } };
  const files = [preferring('cloud'), tight, both, preferring('own')].map((document, i) =>
    policyFile(t, `${i}`, document),
  );
  const { policies } = await reportOf(folder, files);
  const usdOf = (index: number): number => policies[index]?.usd ?? Number.NaN;
  const sizes = { payloadBytes: 500, topicBytes: 24, propertyBytes: 60 };
  const usd = 3600 * envelopeCostUsd(standardTariff('aws'), sizes, 0);
  t.ok(isNear(usdOf(0), usd, usd * 0.03), `3600 envelopes of one unit: ${usdOf(0)} and not ${usd}`);
  t.ok(isNear(usdOf(2), usd, usd * 0.03), 'each copy at its own price');
  t.ok(usdOf(3) > 0 && usdOf(3) < usd * 0.05, `the other is free, but for probes: ${usdOf(3)}`);
  const held = policies[1]?.providers.find(({ provider }) => provider === 'cloud');
  t.ok(held && held.heldMs > 10 * MINUTE_MS && held.usd < 0.0025, JSON.stringify(held));
  t.ok((policies[1] && (telemetryOf(policies[1])?.switches['hold'] ?? 0)) === 1);
});

t.test('what an operator held is held in the replay; time without an agent does not count', async (t) => {
  const later = 180 * MINUTE_MS;
  const hold = { k: 'hold', p: 'a', why: 'manual' } as const;
  const providers = [facts('a'), facts('b')];
  const folder = historyOf(t, {
    providers,
    policy: policyOf(preferring('a')),
    minutes: 30,
    more: [
      { ...hold, m: 10 * MINUTE_MS, on: true },
      { ...hold, m: 20 * MINUTE_MS, on: false },
      { k: 'state', m: later, begins: true, chosen: {}, health: {}, holds: { b: ['manual', 'quota'] } },
      { k: 'setup', m: later, gw: 'gw-1', policy: policyOf({ ...preferring('a'), version: 2 }), providers },
      { k: 'tries', m: later, d: MINUTE_MS, p: 'a', a: 10, l: [20, 30, 40] },
      { k: 'load', m: later, d: MINUTE_MS, s: 'gone', r: 9, b: 90, e: 1, er: 9, eb: 100 },
    ],
  });
  const report = await reportOf(folder, []);
  t.equal(report.replayedMs, 31 * MINUTE_MS);
  t.match(report.notes, [
    /^the policy changed in that time; "recorded" is the last of 2$/,
    /^recorded has no stream gone: /,
  ]);
  const last = await reportOf(folder, [], { from: START_MS + later, to: ALWAYS.to });
  t.match(last, { replayedMs: MINUTE_MS, notes: [/^recorded has no stream gone: /] });
  const replayed = report.policies[0] && telemetryOf(report.policies[0]);
  t.match(replayed, { switches: { hold: 1 } });
  t.ok(isNear(replayed?.shares['b'], 10.3 / 31, 0.02), JSON.stringify(replayed));
  t.ok(isNear(replayed?.onlyOneMs, 11 * MINUTE_MS, MINUTE_MS), 'b was held in the last minute');
});

t.test('boots in 1970 are left out when others are dated, and are all there is otherwise (I7)', async (t) => {
  const tries: LineOf<'tries'> = { k: 'tries', m: 0, d: MINUTE_MS, p: 'a', a: 10, l: [20, 30, 40] };
  const never: Line[] = [
    { k: 'clock', boot: 'boot-0', off: 0, q: 'unsynchronised' },
    { ...tries, m: 5000 },
    { ...tries, m: 65_000 },
  ];
  const told = { providers: [facts('a')], policy: policyOf(), minutes: 5 };
  const report = await reportOf(historyOf(t, { ...told, more: never }), []);
  t.match(report, {
    replayedMs: 5 * MINUTE_MS,
    notes: ['2 lines of boots whose clock was never set are left out'],
  });
});

/** A world whose routing is written down by a real history. */
class RecordedWorld extends World {
  readonly history: History;
  #due: () => void = () => undefined;
  #writtenMs = 0;
  #seq = 0;

  constructor(folder: string, policy: Policy, providers: ProviderFacts[]) {
    super({ policy, providers, publishEveryMs: 100 });
    const clock: Clock = {
      ...systemClock,
      monoMs: () => this.nowMs,
      wallMs: () => this.nowMs + START_MS,
      every: (_periodMs, run) => {
        this.#due = run;
        return { cancel: () => undefined };
      },
    };
    this.history = new History({
      folder,
      bounds: { maxBytes: 2 ** 24, maxAgeMs: 30 * 86_400_000 },
      writeEveryMs: MINUTE_MS,
      setup: { gateway: 'gw-1', policy, providers },
      routingNow: () => ({ providers: [], chosen: {}, inputs: [] }),
      currentClock: () => ({ bootId: 'boot-1', offsetMs: START_MS, quality: 'synchronised' }),
      mayWrite: () => true,
      clock,
      log: createLogger({ level: 'silent', levels: {} }),
    });
  }

  override publish(stream = 'telemetry', bytes = 3000): void {
    this.#seq += 1;
    this.history.committed([{ stream, first: this.#seq, last: this.#seq, bytes }]);
    super.publish(stream, bytes);
  }

  override dispatch(event: RoutingEvent): void {
    const before = this.effects.length;
    super.dispatch(event);
    this.history.observed(event, this.effects.slice(before));
    if (event.kind === 'published' && event.outcome.kind === 'accepted' && !event.probe) {
      const { provider, bytes } = event;
      const acceptance = { provider, epoch: '1-aa', stream: 'telemetry', range: null, records: 1, bytes };
      this.history.accepted(acceptance);
    }
    if (this.nowMs - this.#writtenMs < MINUTE_MS) return;
    this.#writtenMs = this.nowMs;
    this.#due();
  }
}

t.test('under the policy that was in force, a replay goes where the gateway went', async (t) => {
  const folder = join(testDir(t), 'history');
  const world = new RecordedWorld(folder, policyOf(preferring('a')), [facts('a'), facts('b')]);
  await world.history.start();
  world.weather('a', accept);
  world.weather('b', accept);
  let onB = 0;
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      world.run(1000);
      if (world.chosen() === 'b') onB += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await pass(300);
  for (const outage of [blackhole, refuse]) {
    world.weather('a', outage);
    await pass(90);
    world.weather('a', accept);
    await pass(240);
  }
  await world.history.stop();
  const report = await reportOf(folder, []);
  const replayed = report.policies[0] && telemetryOf(report.policies[0]);
  t.ok(replayed && onB > 180, `${onB} s at b`);
  const seconds = ((replayed?.shares['b'] ?? 0) * report.replayedMs) / 1000;
  // The replay notices an outage by its own traffic, as the gateway did.
  t.ok(isNear(seconds, onB, 10), `${seconds} s at b in the replay, ${onB} s in truth`);
  const switches = Object.values(replayed?.switches ?? {}).reduce((sum, count) => sum + count, 0);
  t.equal(switches, replayed?.recordedSwitches);
});

t.test('headgate simulate', async (t) => {
  const folder = historyOf(t, {
    providers: [facts('a'), facts('b')],
    policy: policyOf(preferring('a')),
    minutes: 20,
    down: { a: [5, 9] },
  });
  const file = policyFile(t, 'new', preferring('b'));
  const shown = await command(['simulate', '--history', folder, '--policy', file]);
  t.match(shown, { code: 0, stderr: '' });
  const text = shown.stdout.replaceAll(/ +/g, ' ');
  t.match(
    text,
    /^gateway gw-1, 2026-11-20T00:00:00\.000Z to 2026-11-20T00:20:00\.000Z: 20m 0s in which the agent ran$/m,
  );
  t.match(text, /^switches 2 0$/m);
  t.match(text, /^some stream with no provider never never$/m);
  t.match(text, /^STREAM telemetry recorded .*new\.yaml$/m);
  t.match(text, /^switches 1 breaker, 1 preferred none$/m);
  const json = await command([
    'simulate',
    '--history',
    folder,
    '--policy',
    file,
    '--json',
    '--to',
    '2026-11-20T00:10Z',
  ]);
  t.match(JSON.parse(json.stdout), { kind: 'simulation', to: '2026-11-20T00:10:00.000Z' });

  const wrong = policyFile(t, 'wrong', preferring('c'));
  t.match(await command(['simulate', '--history', folder, '--policy', wrong]), {
    code: 78,
    stderr: /no provider has this name/,
  });
  t.match(await command(['simulate', '--history', folder, '--from', 'monday']), {
    code: 2,
    stderr: /"monday": expected a time/,
  });
  t.match(await command(['simulate', '--history', join(folder, 'none')]), {
    code: 1,
    stderr: /there is no history in /,
  });
  t.match(await command(['simulate', '--history', folder, '--from', '2027-01-01']), {
    code: 1,
    stderr: /has no entries of that time/,
  });
});
