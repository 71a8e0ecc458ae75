/**
 * Every fault of the loopback, against the real SDK over TLS: the outcome of a publish, and the messages that
 * the router gets. A manual clock has the deadlines and the spacing of connects.
 */

import t, { type Test } from 'tap';
import type { Cut } from '../../../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { FAULT_NAMES, type FaultName, fault } from '../../../../loopback/faults.ts';
import { createLogger } from '../../../../shared/log.ts';
import {
  brief,
  entropy,
  envelope,
  type Fixture,
  openPublisher,
  startAzure,
  startReading,
  clock as systemClock,
} from '../../../loopback/azure-fixture.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { testDir } from '../../../test-dir.ts';
import { turns } from '../../../turns.ts';
import { asTimePasses, until } from '../../../until.ts';

const DEADLINE_MS = 4000;
/** Between the starts of two connects. */
const SPACING_MS = 250;
/** The longest that a throttled hub takes to acknowledge, and how long its connection lives then. */
const THROTTLED_MS = 2000;
const THROTTLED_CUT_MS = 50;

interface Case {
  /** Outcomes of two publishes, the first on a connection that was open when the fault began. */
  outcomes: [string, string];
  /** How often the router gets each of the two, in order of arrival. */
  delivered: string[];
}

const TABLE: Record<FaultName, Case> = {
  refuse: { outcomes: ['retryable/connection-refused', 'retryable/connection-refused'], delivered: [] },
  // The first was sent and not answered; the second found no connection, so it certainly did not arrive.
  blackhole: { outcomes: ['unknown/deadline', 'retryable/timeout'], delivered: [] },
  slow: { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  'slow-ramp': { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  // The acknowledgements come after the deadline; the hub drops unacknowledged messages.
  throttle: { outcomes: ['unknown/deadline', 'unknown/deadline'], delivered: [] },
  error: { outcomes: ['retryable/unavailable', 'retryable/unavailable'], delivered: [] },
  html503: { outcomes: ['retryable/server-error', 'retryable/server-error'], delivered: [] },
  brownout: { outcomes: ['retryable/unavailable', 'accepted'], delivered: ['2'] },
  reset: { outcomes: ['unknown/connection-lost', 'retryable/connection-reset'], delivered: [] },
  unauthorized: { outcomes: ['rejected/unauthorized', 'rejected/unauthorized'], delivered: [] },
  'ack-lost': { outcomes: ['unknown/connection-lost', 'unknown/connection-lost'], delivered: ['1', '2'] },
  duplicate: { outcomes: ['accepted', 'accepted'], delivered: ['1', '1', '2', '2'] },
  reorder: { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  'drop-after-ack': { outcomes: ['accepted', 'accepted'], delivered: [] },
  late: { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  'credentials-silent': { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  flap: { outcomes: ['retryable/connection-refused', 'retryable/connection-refused'], delivered: [] },
};
/** Open connections end when it begins. */
const CUTTING: ReadonlySet<FaultName> = new Set([
  'refuse',
  'error',
  'html503',
  'brownout',
  'unauthorized',
  'flap',
]);

/** Answers that take long, or never come. */
const SILENT: ReadonlySet<FaultName> = new Set(['blackhole', 'throttle']);

/** At the present time, for tokens. */
const standing = (): ManualClock => new ManualClock(systemClock.wallMs());

/** A publisher on a clock that stands still, and what it tells of its connections. */
async function openManual(t: Test, { cloud }: Fixture, clock = standing()) {
  const events: string[] = [];
  const write = (line: string): void => void events.push(String(JSON.parse(line).event));
  const log = createLogger({ level: 'debug', levels: {} }, { write });
  const cuts: Cut[] = [];
  const onCut = (cut: Cut): void => void cuts.push(cut);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), { clock, log, onCut });
  const publish = async (text: string, limitMs = DEADLINE_MS): Promise<string> => {
    const attempt = { endsAtMs: clock.monoMs() + limitMs, signal: new AbortController().signal };
    return brief(await publisher.publish(envelope(text), attempt));
  };
  return {
    clock,
    cuts,
    publish,
    /** Connections that were open, and are not. */
    ended: () => events.filter((event) => event === 'azure.session_ended').length,
    /** CONNECT and PUBLISH packets that the hub has. */
    requests: () => cloud.meter().requests,
  };
}

t.test('each fault has its outcome, and goes without a trace', async (t) => {
  const ca = await createCertificateAuthority(systemClock, entropy);
  const caFile = `${testDir(t, { 'ca.pem': ca.ca })}/ca.pem`;
  const run = async (name: FaultName): Promise<{ name: FaultName; seen: Case; after: string[] }> => {
    const hubClock = standing();
    const azure = await startAzure(t, { ca, caFile, ...(name === 'throttle' && { clock: hubClock }) });
    const { cloud } = azure;
    const { clock, publish, ended, requests } = await openManual(t, azure);
    const reading = await startReading(t, { config: cloud.routerConfig() });
    await publish('0');
    await until(`${name}: the first event`, () => reading.texts().length === 1);
    await cloud.setFault(fault(name, { latencyMs: 250, jitterMs: 50, periodMs: 600_000 }));
    if (CUTTING.has(name)) await until(`${name}: the connection has ended`, () => ended() === 1);
    clock.advance(SPACING_MS);
    const publishUnderFault = async (text: string, packets: number): Promise<string> => {
      const before = requests();
      const outcome = publish(text);
      if (name === 'throttle') await until(`the hub has ${text}`, () => requests() === before + packets);
      // A publish into a hole is seen by nobody.
      if (name === 'blackhole') await turns();
      if (SILENT.has(name)) clock.advance(DEADLINE_MS);
      return outcome;
    };
    const first = await publishUnderFault('1', 1);
    clock.advance(SPACING_MS);
    const second = await publishUnderFault('2', 2);
    const expected = name === 'late' ? 0 : TABLE[name].delivered.length;
    await until(`${name}: the events`, () => reading.texts().length > expected);
    await cloud.setFault(null);
    await turns();
    hubClock.advance(THROTTLED_MS);
    clock.advance(DEADLINE_MS);
    await turns();
    const after = [await publish('3'), await publish('4')];
    // Delivered in the order in which they came: what was delivered twice, or late, stands before it.
    await until(`${name}: the last event`, () => reading.texts().includes('4'));
    const texts = reading.texts().slice(1);
    const delivered = texts.slice(0, -2).sort();
    return { name, seen: { outcomes: [first, second], delivered }, after: [...after, ...texts.slice(-2)] };
  };
  const results = await Promise.all(FAULT_NAMES.map(run));
  for (const { name, seen, after } of results) {
    t.strictSame(seen, TABLE[name], name);
    t.strictSame(after, ['accepted', 'accepted', '3', '4'], `${name} cleared: accepted, and delivered once`);
  }
});

t.test('a throttled hub acknowledges late, then drops the connection under the next', async (t) => {
  const clock = standing();
  const azure = await startAzure(t, { clock });
  const { cuts, publish, requests } = await openManual(t, azure, clock);
  await publish('0');
  await azure.cloud.setFault(fault('throttle'));
  const before = requests();
  const late = publish('1');
  await until('the hub has the first', () => requests() === before + 1);
  clock.advance(1200);
  const cut = publish('2');
  await until('the hub has the second', () => requests() === before + 2);
  await asTimePasses(clock, 10, 'the hub takes the first', () => azure.cloud.meter().accepted === 2);
  t.equal(await late, 'accepted', `after ${clock.monoMs()} ms`);
  clock.advance(THROTTLED_CUT_MS);
  t.equal(await cut, 'unknown/connection-lost');
  t.same(cuts, ['late'], 'that is its word for it');
});

t.test(
  'a connection that ends before any answer is a cut, one that we end or never had is none',
  async (t) => {
    const clock = standing();
    const azure = await startAzure(t, { clock });
    const { cloud } = azure;
    const { cuts, publish, requests, ended } = await openManual(t, azure, clock);
    await cloud.setFault(fault('throttle'));
    const unanswered = publish('0', 700);
    await until('the hub has CONNECT and PUBLISH', () => requests() === 2);
    clock.advance(700);
    t.equal(await unanswered, 'unknown/deadline', 'we end it');
    await cloud.setFault(fault('refuse'));
    t.equal(await publish('1'), 'retryable/connection-refused');
    t.same(cuts, []);
    await cloud.setFault(fault('ack-lost'));
    clock.advance(SPACING_MS);
    t.equal(await publish('2'), 'unknown/connection-lost');
    t.same(cuts, ['unanswered']);
    await cloud.setFault(null);
    clock.advance(SPACING_MS);
    t.equal(await publish('3'), 'accepted');
    const before = ended();
    await cloud.setFault(fault('error'));
    await until('the connection has ended', () => ended() === before + 1);
    t.same(cuts, ['unanswered'], 'it had answered, and in time');
  },
);

t.test('a connection that is lost with a publish in flight leaves it unknown', async (t) => {
  const clock = standing();
  const azure = await startAzure(t, { clock });
  const { publish, requests } = await openManual(t, azure, clock);
  await publish('0');
  // Throttled: the acknowledgement is still out when the line goes down.
  await azure.cloud.setFault(fault('throttle'));
  const before = requests();
  const inFlight = publish('1');
  await until('the hub has it', () => requests() === before + 1);
  await azure.cloud.setFault(fault('refuse'));
  t.equal(await inFlight, 'unknown/connection-lost');
});
