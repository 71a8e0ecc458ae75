/** Every table of the command on narrow terminals, with long names and with characters of two columns. */
import stringWidth from 'string-width';
import t from 'tap';
import type { DeviceFile } from '../../agent/broker/access/device-file.ts';
import { renderAgentStatus } from '../../cli/render/agent-status.ts';
import { renderClients } from '../../cli/render/clients.ts';
import { renderClouds } from '../../cli/render/clouds.ts';
import { renderCosts } from '../../cli/render/costs.ts';
import { renderDeadLetter, renderDeadLetters } from '../../cli/render/dead-letters.ts';
import { renderDevices, renderGroups } from '../../cli/render/devices.ts';
import { renderExplanation } from '../../cli/render/explain.ts';
import { renderPast } from '../../cli/render/explain-at.ts';
import { renderFeeds } from '../../cli/render/feeds.ts';
import { renderHolds } from '../../cli/render/holds.ts';
import { renderErasures, renderWhereabouts } from '../../cli/render/ledger.ts';
import { renderCompleteness, renderRouterStatus } from '../../cli/render/router-status.ts';
import { renderSimulation } from '../../cli/render/simulation.ts';
import { renderVerification } from '../../cli/render/verification.ts';
import { renderWhere } from '../../cli/render/where.ts';
import type { StoredDeadLetter } from '../../router/ledger/maintenance.ts';
import type { PolicyReplay } from '../../shared/admin-api/simulation.ts';
import { AGENT, COSTS, EXPLANATION, ROUTER } from './status-answers.ts';

const AT = '2026-11-20T10:00:00.000Z';
const KEY = { gateway: 'gw-1', epoch: '7-ab12', stream: 'alarms' };
const SPAN = { from: AT, to: AT, clock: 'unsynchronised' } as const;
const PARTS = { cost: 1, performance: 0.9, compliance: 1, reliability: 0.999 };

const DEVICES: DeviceFile = {
  version: 1,
  devices: ['press', 'pump'].map((name, at) => ({
    name,
    ...(at === 0 ? { password: 'hash' } : {}),
    groups: ['pumps', 'line-2'],
    disabled: at === 1,
    created: AT,
    rules: [{ allow: 'publish', topic: 'plant/line/+/pressure' }],
  })),
  groups: [{ name: 'pumps', rules: [{ allow: 'both', topic: 'plant/pumps/#' }] }],
};

const LETTER: StoredDeadLetter = {
  id: 4711,
  receivedWallMs: 0,
  source: 'azure',
  reason: 'foreign-gateway',
  detail: 'the provider names the sender gateway-eleven, and the envelope names gateway-twelve as its own',
  sizeBytes: 131_072,
  bytes: new Uint8Array(300).fill(171),
  authenticatedGateway: 'gateway-eleven',
  properties: { 'headgate-range': '7-ab12/1-200' },
};

const REPLAY: PolicyReplay = {
  policy: 'policies/cheapest.yaml',
  streams: [
    {
      stream: 'alarms',
      shares: { aws: 0.75, azure: 0.25 },
      records: 12_345,
      mostWaiting: 500,
      nowhereMs: 1000,
      onlyOneMs: 90_000,
      switches: { breaker: 3, hold: 1 },
      recordedSwitches: 4,
    },
  ],
  providers: ['aws', 'azure'].map((provider) => ({
    provider,
    units: 1234,
    usd: 1.25,
    possibleUsd: 0.5,
    heldMs: 60_000,
  })),
  usd: 2.5,
  switches: 4,
  nowhereMs: 1000,
  atRiskMs: 90_000,
};

const PAST = {
  kind: 'explain-at' as const,
  at: AT,
  recordedUntil: AT,
  clock: 'synchronised' as const,
  policyVersion: 3,
  weights: PARTS,
  streams: [
    {
      stream: 'alarms',
      chosen: 'aws',
      since: AT,
      candidates: (EXPLANATION.streams[0]?.candidates ?? []).map(({ inputs, ...candidate }) => ({
        ...candidate,
        scored: { ...candidate, inputs, inputsAt: AT },
      })),
      switches: AGENT.switches,
    },
  ],
  providers: [
    {
      provider: 'aws',
      health: 'degraded' as const,
      healthReason: 'latency',
      since: AT,
      holds: ['quota'],
      tries: {
        from: AT,
        to: AT,
        accepted: 40,
        p50Ms: 20,
        p95Ms: 400,
        p99Ms: 900,
        failed: { throttled: 3, retryable: 1 },
      },
    },
  ],
};

const CLIENT = {
  clientId: 'press-1',
  address: '2001:db8:0000:0000:0000:ff00:0042:8329',
  connectedForMs: 90_000,
  lastSeenMs: 400,
  published: 12_345,
  ratePerSecond: 250.4,
  refused: { 'not-authorised': 3, 'record-too-large': 10 },
  lastRefusal: 'record-too-large',
  takenOver: 2,
};
const CLOUD = {
  name: 'aws',
  fault: { name: 'drop-after-ack' },
  meter: { accepted: 12_345, units: 12_345, bytes: 1e9, requests: 9e6, delivered: 12_345, settled: 12_345 },
};
const ERASURE = {
  id: 1,
  actor: 'operator',
  startedWallMs: 0,
  finishedWallMs: null,
  gateway: null,
  device: 'press-1',
  records: 12_345,
  versions: 6,
  deadLetters: 7,
};
const SIGHTING = { source: 'azure', receivedWallMs: 0 };

/** Each way to show a table, given a function that makes names long. */
const TABLES: Readonly<Record<string, (long: <T>(value: T) => T) => string>> = {
  'status of an agent': (long) => renderAgentStatus(long(AGENT)),
  'status of a router': (long) => renderRouterStatus(long(ROUTER)),
  completeness: (long) =>
    renderCompleteness(long(ROUTER.gateways.flatMap(({ streams }) => streams)), ROUTER.summary),
  costs: (long) => renderCosts(long(COSTS)),
  explain: (long) => renderExplanation(long(EXPLANATION)),
  'explain --at': (long) => renderPast(long(PAST)),
  clients: (long) =>
    renderClients(
      long({
        kind: 'clients',
        known: 2,
        connected: 1,
        takenOver: 2,
        clients: [CLIENT, { ...CLIENT, connectedForMs: null }],
        next: null,
      }),
    ),
  'clouds status': (long) => renderClouds(long([CLOUD])),
  'deadletter ls': (long) => renderDeadLetters(long([LETTER])),
  'deadletter show': (long) => renderDeadLetter(long(LETTER)),
  'device ls': (long) => renderDevices(long(DEVICES)),
  'device group ls': (long) => renderGroups(long(DEVICES)),
  feeds: (long) =>
    renderFeeds(
      long([
        {
          name: 'hook',
          type: 'webhook',
          offset: 123_456,
          records: 12,
          seconds: 75,
          quarantined: [
            {
              offset: 123_400,
              id: 'gw-1/7-ab12/alarms/9',
              error: 'HTTP 422',
              tries: 20,
              wallMs: 0,
              isDue: true,
            },
          ],
        },
      ]),
    ),
  holds: (long) =>
    renderHolds(
      long({
        kind: 'holds',
        kept: true,
        holds: [
          {
            provider: 'aws',
            reason: 'maintenance',
            since: AT,
            clock: 'synchronised',
            leftMs: null,
            isKnown: false,
          },
        ],
      }),
    ),
  'ledger erasures': (long) => renderErasures(long([ERASURE])),
  'ledger where': (long) =>
    renderWhereabouts(
      long({
        ...KEY,
        seq: 7,
        state: 'held',
        offset: 12_345,
        first: SIGHTING,
        again: [{ ...SIGHTING, cause: 'other-source' }],
        aside: [SIGHTING],
      }),
      [],
    ),
  'ledger verify': (long) =>
    renderVerification(
      long({
        streams: 3,
        records: 12_345,
        problemCount: 1,
        problems: [
          {
            ...KEY,
            problem: 'seen-without-record',
            ranges: Array.from({ length: 5 }, (_, n) => ({ first: n * 1e6, last: n * 1e6 + 5 })),
          },
        ],
      }),
    ),
  simulate: (long) =>
    renderSimulation(
      long({
        kind: 'simulation',
        gateway: 'gw-1',
        from: AT,
        to: AT,
        replayedMs: 90_000,
        policies: [REPLAY, { ...REPLAY, policy: 'recorded' }],
        notes: ['the history has no line of an hour in which the agent did not run'],
      }),
    ),
  where: (long) =>
    renderWhere(
      long({
        kind: 'where',
        id: 'gw-1/7-ab12/alarms/7',
        state: 'given-up',
        reason: 'quota',
        gaveUp: SPAN,
        accepted: [{ provider: 'aws', ...SPAN }],
        copies: 2,
        notesSince: AT,
      }),
    ),
};

/** Properties that hold a name of the user's. */
const NAMES = new Set([
  'name',
  'stream',
  'provider',
  'gateway',
  'device',
  'source',
  'clientId',
  'policy',
  'actor',
  'reason',
  'id',
  'topic',
  'lastError',
]);

/** The value with `ending` behind each name in it. */
function lengthened<T>(value: T, ending: string): T {
  return JSON.parse(
    JSON.stringify(value, (key, inner: unknown) => {
      if (inner instanceof Uint8Array) return [...inner];
      return typeof inner === 'string' && NAMES.has(key) ? `${inner}${ending}` : inner;
    }),
  ) as T;
}

/** Each character of `text` but blanks, with its count. */
function counts(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const character of text.replaceAll(/\s/g, '')) found.set(character, (found.get(character) ?? 0) + 1);
  return found;
}

function shown(render: (long: <T>(value: T) => T) => string, ending: string, columns: number | null): string {
  if (columns === null) delete process.env['COLUMNS'];
  else process.env['COLUMNS'] = String(columns);
  return render((value) => lengthened(value, ending));
}

for (const [name, render] of Object.entries(TABLES)) {
  t.test(`${name}: no line is wider than the terminal, and nothing is lost`, async (t) => {
    for (const ending of ['', '-at-the-southern-bottling-line-of-hall-7', ' 東京第二工場のライン🔋']) {
      const whole = counts(shown(render, ending, null));
      for (const columns of [80, 60]) {
        const text = shown(render, ending, columns);
        t.strictSame(
          text.split('\n').filter((line) => stringWidth(line) > columns),
          [],
          `${columns} columns`,
        );
        const narrow = counts(text);
        const lost = [...whole].filter(([character, count]) => (narrow.get(character) ?? 0) < count);
        t.strictSame(lost, [], `${columns} columns: every character is there`);
      }
    }
  });
}

t.test('a text that is cut says so', async (t) => {
  const [, row = ''] = shown(TABLES['deadletter ls'] ?? (() => ''), '', null).split('\n');
  t.match(row, /gateway-eleven, and the envelo…$/);
});
