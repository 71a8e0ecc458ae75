import { createServer } from 'node:http';
import { Registry } from 'prom-client';
import t, { type Test } from 'tap';
import type { Explanation } from '../../shared/admin-api/explanation.ts';
import type { AgentStatus, CostReport, RouterStatus } from '../../shared/admin-api/status.ts';
import { AdminServer } from '../../shared/admin-server.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { headgate } from './run.ts';

const RANGE = { first: 120, last: 120 };
const PARTS = { cost: 1, performance: 0.9, compliance: 1, reliability: 0.999 };

const AGENT: AgentStatus = {
  kind: 'agent',
  gateway: 'gw-1',
  version: '1.2.3',
  epoch: '7-ab12',
  uptimeSeconds: 3725,
  clock: { quality: 'unsynchronised', offsetMs: 0 },
  broker: { connections: 20, published: 1_234_567, refused: 2, deviceFile: 'ok' },
  buffer: { rows: 1500, bytes: 300_000, fileBytes: 2 ** 20, walBytes: 4096, state: 'ok' },
  streams: [
    {
      name: 'alarms',
      chosen: ['azure', 'gcp'],
      pending: 1500,
      awaitingReceipt: 7,
      inFlight: 12,
      accepted: 9000,
      ratePerSecond: 250.4,
      backlog: 1500,
      timeToDrainSeconds: 6,
      oldestAgeMs: 90_500,
    },
    {
      name: 'energy',
      chosen: [],
      pending: 3,
      awaitingReceipt: 0,
      inFlight: 0,
      accepted: 0,
      ratePerSecond: 0,
      backlog: 0,
      timeToDrainSeconds: null,
      oldestAgeMs: 400,
    },
  ],
  providers: [
    {
      name: 'aws',
      type: 'aws',
      region: 'eu-west-1',
      health: 'open',
      sinceMs: 4200,
      score: 0.61234,
      parts: PARTS,
      holds: ['manual', 'quota'],
      p50Ms: null,
      p95Ms: null,
      successRate: null,
      accepted: 10,
      failed: 4,
      units: 10,
      fault: { cause: 'dns', detail: 'getaddrinfo ENOTFOUND \u001b[2J', forMs: 4000 },
      credentials: { slot: 'next_credentials', standing: 'accepted', expiresAt: '2027-01-02T03:04:05.000Z' },
    },
  ],
  switches: [
    {
      at: '2026-11-20T10:00:00.000Z',
      stream: 'alarms',
      from: 'aws',
      to: 'azure',
      reason: 'breaker\u001b[2J',
    },
  ],
};

const ROUTER: RouterStatus = {
  kind: 'router',
  version: '1.2.3',
  uptimeSeconds: 5,
  sources: [
    {
      name: 'aws',
      type: 'aws',
      connected: false,
      received: 10,
      settled: 9,
      lastError: 'ECONNREFUSED',
      cuts: 0,
      expired: 0,
      lastReceivedMs: 0,
      recordAgeMs: 75_000,
      queueAgeMs: null,
      backlog: 12_345,
      duplicates: { redelivery: 3, hedge: 0, 'other-source': 4 },
    },
  ],
  ledger: { records: 120, duplicates: 7, conflicts: 1, deadLetters: 2 },
  ledgerError: null,
  feeds: [
    {
      name: 'file',
      phase: 'retrying',
      offset: 118,
      lag: 2,
      lagSeconds: 75,
      failures: 3,
      lastError: 'ENOSPC',
      refused: null,
    },
  ],
  summary: { streams: 1, incomplete: 1, missing: 10, givenUp: 5 },
  gateways: [
    { gateway: 'gw-0', lastContactMs: 0, streams: [] },
    {
      gateway: 'gw-1',
      lastContactMs: null,
      streams: [
        {
          gateway: 'gw-1',
          epoch: '7-ab12',
          stream: 'alarms',
          completeTo: 90,
          highest: 130,
          missing: [{ first: 91, last: 99 }, RANGE],
          missingCount: 10,
          gaps: [{ first: 1, last: 5, reason: 'quota' }],
          givenUpCount: 5,
          sealedAt: null,
          records: 115,
          withdrawn: { retention: 3, erasure: 0, quarantine: 1 },
          duplicates: 7,
          conflicts: 1,
        },
      ],
    },
  ],
  next: null,
};

const INPUTS = {
  envelopeCostUsd: 0.0000013,
  latencyP50Ms: 20.4,
  latencyP95Ms: 380,
  latencySamples: 41,
  latencyPriorMs: 60,
  goodput: 0.98,
  accepted: 40,
  tries: 44,
  slaPercent: 99.9,
  certificationsHeld: 1,
  certificationsRequired: 2,
};
const CANDIDATE = {
  share: 0.9,
  score: 0.95,
  parts: PARTS,
  inputs: INPUTS,
  standing: 0.95,
  preference: null,
  waitMs: 0,
};

const EXPLANATION: Explanation = {
  kind: 'explain',
  streams: [
    {
      stream: 'energy',
      reason: 'the first choice',
      weights: { cost: 0.3, performance: 0.25, compliance: 0.25, reliability: 0.2 },
      candidates: [
        {
          ...CANDIDATE,
          provider: 'aws',
          fault: null,
          refusals: [],
          chosen: true,
          health: 'degraded',
          healthReason: 'latency',
          trial: { tries: 12, accepted: 11, triesNeeded: 40 },
          standing: 0.475,
          holds: [],
          hedgeDelayMs: 120,
        },
        {
          ...CANDIDATE,
          provider: 'gcp',
          fault: 'tls: the TLS handshake did not end within 3000 ms',
          refusals: ['residency', 'hold'],
          share: 0,
          score: 0.99,
          inputs: {
            ...INPUTS,
            latencyP50Ms: null,
            latencyP95Ms: null,
            latencySamples: 0,
            tries: 0,
            accepted: 0,
          },
          preference: 1,
          chosen: false,
          health: 'healthy',
          healthReason: 'start',
          trial: null,
          holds: ['quota', 'manual'],
          waitMs: 9000,
          hedgeDelayMs: null,
        },
      ],
      switches: [
        { at: '2026-11-20T10:00:00.000Z', stream: 'energy', from: 'gcp', to: 'aws', reason: 'hold' },
      ],
    },
  ],
};

const NOTHING = { units: 0, records: 0, usd: 0, possibleUnits: 0, possibleUsd: 0 };
const METERED = { units: 2000, records: 40_000, usd: 0.0035, possibleUnits: 5, possibleUsd: 0.0001 };

const COSTS: CostReport = {
  kind: 'costs',
  currency: 'USD',
  day: '2026-11-20',
  clock: 'unsynchronised',
  since: '2026-11-20T10:00:00.000Z',
  providers: [
    {
      name: 'aws',
      type: 'aws',
      unit: '5 KB message',
      pricesDated: '2026-11-20',
      today: NOTHING,
      month: METERED,
      fixedUsd: 0,
      forecastUsd: null,
      usdPerMillionRecords: 0.0875,
      unitsPerDay: null,
      holds: [],
    },
    {
      name: 'hub',
      type: 'azure',
      unit: '4 KB message',
      pricesDated: '2026-11-20',
      today: { ...NOTHING, units: 396_000 },
      month: { ...NOTHING, units: 396_000 },
      fixedUsd: 25,
      forecastUsd: 25,
      usdPerMillionRecords: null,
      unitsPerDay: 400_000,
      holds: ['quota'],
    },
  ],
  streams: [
    { name: 'energy', today: NOTHING, month: METERED, forecastUsd: 0.02, usdPerMillionRecords: 0.0875 },
  ],
  total: { todayUsd: 0, monthUsd: 0.0035, fixedUsd: 25, forecastUsd: 25.02, usdPerMillionRecords: 0.0875 },
  budget: { usd: 50, spentUsd: 25.0035, state: 'within', onBudget: 'hold' },
};

/** A real admin server with made-up answers; returns its address. */
async function serving(t: Test, kind: 'agent' | 'router'): Promise<string> {
  const server = new AdminServer({
    host: '127.0.0.1',
    clock: systemClock,
    entropy: systemEntropy,
    port: 0,
    checks: {},
    registry: new Registry(),
    log: createLogger({ level: 'silent', levels: {} }),
    routes: {
      '/v1/status': () => ({ status: 200, body: kind === 'agent' ? AGENT : ROUTER }),
      '/v1/explain': ({ stream }) =>
        stream === 'nope'
          ? { status: 404, body: { error: 'no stream "nope"' } }
          : { status: 200, body: EXPLANATION },
      '/v1/costs': () => ({ status: 200, body: COSTS }),
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  return `http://127.0.0.1:${server.port()}`;
}

/** Runs of blanks are layout. */
function squeezed(text: string): string {
  return text.replaceAll(/ +/g, ' ');
}

t.test('status of an agent', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout, stderr } = await headgate(['status', '--admin', admin]);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  const text = squeezed(stdout);
  t.match(text, /^agent gw-1 headgate 1\.2\.3 epoch 7-ab12 up 1h 2m clock unsynchronised$/m);
  t.match(text, /^aws dns 4\.0s getaddrinfo ENOTFOUND/m);
  t.match(text, /^broker 20 connections, 1\.2M published, 2 refused, device file ok$/m);
  t.match(text, /^buffer ok: 1\.5k records, 293\.0 KiB \(file 1\.0 MiB, WAL 4\.0 KiB\)$/m);
  t.match(text, /^alarms azure, gcp 1\.5k 12 7 9\.0k 250\.4 6\.0s 1m 30s$/m);
  t.match(text, /^energy nobody 3 0 0 0 0\.0 – 400ms$/m);
  t.match(
    text,
    /^aws aws eu-west-1 open 4\.2s 0\.612 1\.00 0\.90 1\.00 1\.00 – – – 10 4 10 manual, quota next_credentials accepted 2027-01-02T03:04:05\.000Z$/m,
  );
  t.match(
    text,
    /^2026-11-20T10:00:00\.000Z alarms aws azure breaker \[2J$/m,
    'control characters do not get through',
  );
  const asJson = await headgate(['status', '--admin', admin, '--json']);
  t.strictSame(JSON.parse(asJson.stdout), AGENT);
});

t.test('status of a router', async (t) => {
  const admin = await serving(t, 'router');
  const { code, stdout } = await headgate(['status', '--router', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^ledger 120 records, 7 duplicates reconciled, 1 conflicts, 2 dead letters$/m);
  t.match(
    text,
    /^aws aws down 10 9 3 \(redelivery\), 4 \(other-source\) 1m 15s – 12\.3k 1970-01-01T00:00:00\.000Z ECONNREFUSED$/m,
  );
  t.match(text, /^streams 1, 1 incomplete: 10 records missing; 5 given up$/m);
  t.match(text, /^file retrying 118 2 1m 15s 3 ENOSPC$/m);
  t.match(text, /^gw-0 1970-01-01T00:00:00\.000Z none none – – – – – – –$/m, 'heard of, nothing held');
  t.match(
    text,
    /^gw-1 never 7-ab12 alarms 90 130 10 \(91–99, 120\) 5 \(quota\) 7 1 3 \(retention\), 1 \(quarantine\)$/m,
  );
});

t.test('explain shows every part with its inputs, and why a provider is refused', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout } = await headgate(['explain', 'energy', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^stream energy: the first choice$/m);
  t.match(
    text,
    /^PROVIDER VERDICT SHARE SCORE STANDING COST ×0\.30 PERFORMANCE ×0\.25 COMPLIANCE ×0\.25 RELIABILITY ×0\.20$/m,
  );
  t.match(text, /^aws chosen 90\.0% 0\.950 0\.475 1\.000 0\.900 1\.000 0\.999$/m);
  t.match(text, /^gcp refused: residency, hold 0\.0% 0\.990 0\.950 /m);
  t.match(text, /^PROVIDER HEALTH TRIAL HOLDS PREFERRED MOVES IN HEDGED AFTER$/m);
  t.match(text, /^aws degraded: latency 11 of 12 accepted, 40 tries needed none – now 120ms$/m);
  t.match(
    text,
    /^gcp healthy: start \(tls: the TLS handshake did not end within 3000 ms\) none quota, manual 1 9\.0s –$/m,
  );
  t.match(text, /^PROVIDER USD PER ENVELOPE P50 P95 SAMPLES EXPECTED GOODPUT ACCEPTED SLA CERTIFICATIONS$/m);
  t.match(text, /^aws 0\.00000130 20ms 380ms 41 60ms 98\.0% 40 of 44 99\.90% 1 of 2$/m);
  t.match(text, /^gcp 0\.00000130 – – 0 60ms 98\.0% 0 of 0 99\.90% 1 of 2$/m);
  t.match(text, /^2026-11-20T10:00:00\.000Z gcp aws hold$/m);
  const unknown = await headgate(['explain', '--stream', 'nope', '--admin', admin]);
  t.match(unknown, { code: 1, stdout: '', stderr: 'headgate: the agent answered 404: no stream "nope"\n' });
  const never = await headgate(['explain', '--at', 'never', '--admin', admin]);
  t.match(never, { code: 2, stderr: /^headgate: "never": expected a time such as/ });
});

t.test('costs shows what was metered and what it cost', async (t) => {
  const admin = await serving(t, 'agent');
  const { code, stdout } = await headgate(['costs', '--admin', admin]);
  t.equal(code, 0);
  const text = squeezed(stdout);
  t.match(text, /^USD, UTC day 2026-11-20, month counted since 2026-11-20T10:00:00\.000Z$/m);
  t.match(text, /^the clock is not synchronised: counts go to the last known day$/m);
  t.match(text, /^aws 5 KB message 0 – 0\.0000 2\.0k 40\.0k 0\.0035 0\.00010 0\.0000 – 0\.0875 none$/m);
  t.match(
    text,
    /^hub 4 KB message 396\.0k 99\.0% 0\.0000 396\.0k 0 0\.0000 0\.0000 25\.0000 25\.0000 – quota$/m,
  );
  t.match(text, /^energy 0 0\.0000 40\.0k 0\.0035 0\.00010 0\.0200 0\.0875$/m);
  t.match(text, /^today 0\.0000, month 0\.0035 metered and 25\.0000 fixed, forecast 25\.0200, 0\.0875 per/m);
  t.match(text, /^budget 50\.00: 50\.0% spent, forecast 50\.0%; within, at its end: hold$/m);
});

t.test('an answer that is not ours ends with 69', async (t) => {
  const server = createServer((_request, response) => response.end('<html>'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  const admin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const html = await headgate(['status', '--admin', admin]);
  t.match(html, {
    code: 69,
    stdout: '',
    stderr: /^headgate: what answers at .* is not the agent of headgate\n$/,
  });
  const router = await serving(t, 'router');
  t.match(
    await headgate(['costs', '--admin', `${router}/v1`]),
    { code: 0 },
    'the path of --admin does not count',
  );
});
