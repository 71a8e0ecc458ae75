/** The meter with a real file and a real routing core, on a clock that the test moves. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Meter } from '../../../agent/cost/meter.ts';
import { costReport } from '../../../agent/cost/report.ts';
import {
  NOT_SENT,
  type OutboundEnvelope,
  type Outcome,
  TAKEN_BACK,
} from '../../../agent/providers/publisher.ts';
import { candidates, initialState, mayHedge, transition } from '../../../agent/routing/core/core.ts';
import { type Clock, wallMsOf } from '../../../shared/clock.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { type AzureTariff, azurePrices } from '../../../shared/pricing/azure.ts';
import { standardTariff } from '../../../shared/pricing/metering.ts';
import type { Tariff } from '../../../shared/pricing/tariff.ts';
import { testDir } from '../../test-dir.ts';

const HOUR_MS = 3_600_000;
const NOON = wallMsOf('2026-11-21T12:00:00Z');
const accepted: Outcome = { kind: 'accepted' };
const lost: Outcome = { kind: 'unknown', cause: 'deadline', detail: '' };

/** A hub that takes 8,000 units of 0.5 KB a day. */
const free: AzureTariff = { type: 'azure', sheet: azurePrices.shipped, share: 1, tier: 'F1', hubUnits: 1 };

function envelope(bytes: number, records = 10): OutboundEnvelope {
  const properties = { hg: '1', gw: 'gw-1', ep: 'e', st: 'telemetry', n: String(records) };
  return { gateway: 'gw-1', stream: 'telemetry', bytes: new Uint8Array(bytes), properties };
}

interface World {
  cost?: Record<string, unknown>;
  folder?: string;
}

/** Providers azure (the preferred one, free tier) and aws. */
function world(t: Test, { cost = {}, folder = testDir(t) }: World = {}) {
  const file = join(folder, 'usage.json');
  const policy = policySchema.parse({
    streams: { telemetry: { topics: ['#'], preferred_providers: ['azure', 'aws'] } },
    cost,
  });
  const tariffs: Array<[string, Tariff]> = [
    ['azure', free],
    ['aws', standardTariff('aws')],
  ];
  const facts = tariffs.map(([name, tariff]) => ({
    name,
    type: tariff.type,
    region: 'none',
    enabled: true,
    priority: 1,
    slaPercent: 99.9,
    certifications: [],
    tariff,
  }));
  let state = initialState(policy, facts, 0);
  const lines: Array<Record<string, unknown>> = [];
  const now = { mono: 0, wall: NOON, synchronised: true };
  let tick = (): void => undefined;
  const clock: Clock = {
    monoMs: () => now.mono,
    wallMs: () => now.wall,
    setTimer: () => ({ cancel: () => undefined }),
    every: (_periodMs, run) => {
      tick = run;
      return { cancel: () => undefined };
    },
    sleep: async () => undefined,
  };
  const meter = new Meter({
    file,
    providers: new Map(tariffs.map(([name, tariff]) => [name, { tariff, topicPrefix: 'headgate' }])),
    cost: policy.cost,
    isSynchronised: () => now.synchronised,
    dispatch: (event) => {
      state = transition(state, event, now.mono).state;
    },
    clock,
    log: createLogger({ level: 'debug', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) }),
  });
  t.teardown(() => meter.stop());
  return {
    meter,
    file,
    now,
    used: () => candidates(state, 'telemetry', new Set()),
    mayHedge: () => mayHedge(state),
    inRouting: (name: string) => state.providers.find((provider) => provider.facts.name === name),
    events: () => lines.map((line) => line['event']),
    report: () => costReport(meter.reading(), policy.cost),
    pass(ms: number): void {
      now.mono += ms;
      now.wall += ms;
      tick();
    },
  };
}

t.test('what was accepted is billed, what ended unknown may be', async (t) => {
  const { meter, pass, inRouting, report } = world(t);
  await meter.start();
  t.equal(meter.count('aws', envelope(6000), accepted), 2);
  t.equal(meter.count('aws', envelope(6000), lost), 0);
  t.equal(meter.count('aws', envelope(60), { kind: 'throttled', retryAfterMs: null, detail: '' }), 0);
  t.equal(meter.count('azure', envelope(60), { kind: 'throttled', retryAfterMs: null, detail: '' }), 0);
  t.equal(meter.count('aws', envelope(60), NOT_SENT), 0);
  t.equal(meter.count('aws', envelope(60), TAKEN_BACK), 0);
  const refused: Outcome = { kind: 'retryable', cause: 'connection-refused', detail: '' };
  t.equal(meter.count('aws', envelope(60), refused), 0);
  t.equal(meter.count('nobody', envelope(60), accepted), 0);
  // 26 bytes of properties.
  t.equal(meter.count('azure', envelope(4096 - 26), accepted), 8, 'units of 0.5 KB');
  t.equal(meter.count('azure', envelope(4096 - 25), accepted), 9);
  const [azure, aws] = report().providers;
  t.match(aws?.month, { units: 2, records: 10, possibleUnits: 4 }, 'a metered error and one taken back late');
  t.ok(Math.abs((aws?.month.usd ?? 0) - 2.6e-6) < 1e-15);
  t.match(azure?.today, { units: 17, records: 20, usd: 0, possibleUnits: 0 });
  pass(1000);
  t.equal(inRouting('aws')?.unitsThisMonth, 2, 'scoring knows the tier');
  await meter.stop();
});

t.test('what the hub sends of a twin counts against its quota, and costs nothing', async (t) => {
  const { meter, pass, used, report } = world(t);
  await meter.start();
  meter.countTwin('azure', 0);
  meter.countTwin('azure', 4097);
  meter.countTwin('nobody', 1);
  t.match(report().providers[0]?.today, { units: 1 + 9, records: 0, usd: 0 }, 'of 0.5 KB, one at least');
  t.match(report().streams, [{ name: '_twin', month: { records: 0, usd: 0 } }]);
  meter.countTwin('azure', 4_100_000);
  pass(1000);
  t.same(used(), ['aws'], 'the quota is used up');
  await meter.stop();
});

t.test('the topic counts at AWS, with its prefix', async (t) => {
  const { meter } = world(t);
  // 26 bytes of properties, 23 of headgate/gw-1/telemetry.
  t.equal(meter.count('aws', envelope(5120 - 26 - 23), accepted), 1);
  t.equal(meter.count('aws', envelope(5120 - 26 - 22), accepted), 2);
});

t.test('a quota holds its provider until the UTC day is over', async (t) => {
  const { meter, pass, used, events, report } = world(t);
  await meter.start();
  t.same(used(), ['azure', 'aws']);
  for (let i = 0; i < 990; i++) meter.count('azure', envelope(4000), accepted);
  pass(1000);
  t.same(used(), ['aws'], '990 × 8 units of 8,000');
  t.match(report().providers[0], { holds: ['quota'], today: { units: 7920 }, unitsPerDay: 8000 });
  t.ok(events().includes('cost.hold'));
  pass(11 * HOUR_MS);
  t.same(used(), ['aws']);
  pass(HOUR_MS);
  t.ok(used().includes('azure'), 'the hub counts from 00:00 UTC');
  t.ok(events().includes('cost.release'));
  t.match(report().providers[0], { holds: [], month: { units: 7920 } });
  await meter.stop();
});

t.test('the count and its holds survive a restart; a day of another run is known to be over', async (t) => {
  const before = world(t);
  await before.meter.start();
  for (let i = 0; i < 990; i++) before.meter.count('azure', envelope(4000), accepted);
  await before.meter.stop();
  const folder = join(before.file, '..');
  const after = world(t, { folder });
  await after.meter.start();
  t.same(after.used(), ['aws'], 'held before the first envelope');
  t.match(after.report().providers[0]?.today, { units: 7920 });
  await after.meter.stop();
  const later = world(t, { folder });
  later.now.wall += 24 * HOUR_MS;
  await later.meter.start();
  t.same(later.used(), ['azure', 'aws']);
  await later.meter.stop();
});

t.test('the file is written at most every half minute (I10)', async (t) => {
  const { meter, file, pass } = world(t);
  await meter.start();
  meter.count('aws', envelope(100), accepted);
  pass(29_000);
  t.throws(() => readFileSync(file), { code: 'ENOENT' });
  pass(1000);
  await meter.stop();
  t.match(JSON.parse(readFileSync(file, 'utf8')), { version: 1, entries: [{ provider: 'aws' }] });
});

t.test('a damaged file counts as none, and is said (I9)', async (t) => {
  const damaged: Array<[string, string]> = [
    ['torn', '{"version":1,"atMs":17'],
    ['negative', '{"version":1,"atMs":-1,"dated":true,"sinceMs":0,"entries":[]}'],
    ['of the year 290,000', '{"version":1,"atMs":9e15,"dated":true,"sinceMs":0,"entries":[]}'],
    ['empty', ''],
  ];
  for (const [name, text] of damaged) {
    const { meter, file, events, report } = world(t, { folder: testDir(t, { 'usage.json': text }) });
    await meter.start();
    t.same(events(), ['cost.usage_file_damaged'], name);
    t.equal(report().total.monthUsd, 0);
    meter.count('aws', envelope(100), accepted);
    await meter.stop();
    t.equal(JSON.parse(readFileSync(file, 'utf8')).entries.length, 1, 'a sound one takes its place');
  }
});

t.test('a disk that takes no file stops nothing (I9)', async (t) => {
  const { meter, file, pass, events } = world(t);
  mkdirSync(`${file}.tmp`);
  writeFileSync(join(`${file}.tmp`, 'in-the-way'), '');
  await meter.start();
  meter.count('aws', envelope(100), accepted);
  pass(30_000);
  await meter.stop();
  t.same(
    events().filter((event) => event === 'cost.usage_file_not_written'),
    ['cost.usage_file_not_written'],
    'said once',
  );
});

t.test('the budget warns, then holds what costs something', async (t) => {
  // An envelope of 5 KB costs 1.3e-6 USD.
  const { meter, pass, used, mayHedge, events, report, now } = world(t, { cost: { budget: 1.3e-5 } });
  await meter.start();
  t.equal(mayHedge(), true);
  for (let i = 0; i < 9; i++) meter.count('aws', envelope(4000), accepted);
  pass(1000);
  t.ok(events().includes('cost.budget_alert'));
  t.match(report().budget, { state: 'alert' });
  t.same(used(), ['azure', 'aws']);
  t.equal(mayHedge(), false, 'nothing is sent twice for speed any more');
  for (let i = 0; i < 2; i++) meter.count('aws', envelope(4000), accepted);
  pass(1000);
  t.ok(events().includes('cost.budget_spent'));
  t.same(used(), ['azure'], 'the hub costs nothing more');
  for (let i = 0; i < 990; i++) meter.count('azure', envelope(4000), accepted);
  pass(1000);
  t.same(used(), [], 'quota and budget: records wait');
  now.wall = wallMsOf('2026-12-01T00:00:01Z');
  pass(1000);
  t.equal(used().length, 2, 'a new month');
  t.equal(mayHedge(), true);
});

t.test('the report: by provider, by stream, in total, with its forecast', async (t) => {
  const { meter, pass, report, now } = world(t, { cost: { budget: 50, alert_threshold: 0.5 } });
  await meter.start();
  meter.count('aws', envelope(4000, 100), accepted);
  meter.count('azure', envelope(4000, 100), accepted);
  t.match(report(), { total: { forecastUsd: null } }, 'too early');
  for (let day = 0; day < 4; day++) pass(24 * HOUR_MS);
  const { day, since, providers, streams, total, budget } = report();
  t.match({ day, since }, { day: '2026-11-25', since: '2026-11-21T12:00:00.000Z' });
  t.match(providers[1], { name: 'aws', unit: '5 KB message', today: { units: 0 }, month: { units: 1 } });
  t.equal(providers[1]?.usdPerMillionRecords, 0.013);
  t.match(providers[0], { unit: '0.5 KB message', fixedUsd: 0 });
  t.match(streams, [{ name: 'telemetry', month: { records: 200 } }]);
  const expected = 1.3e-6 + (1.3e-6 / 4) * 5.5;
  t.ok(Math.abs((total.forecastUsd ?? 0) - expected) < 1e-15);
  t.match(budget, { usd: 50, state: 'within', onBudget: 'hold' });
  now.synchronised = false;
  t.equal(report().clock, 'unsynchronised', 'and says so when the day is a guess (I7)');
});
