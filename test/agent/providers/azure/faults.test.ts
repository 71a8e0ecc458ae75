/**
 * Every fault of the loopback, against the real SDK over TLS: the outcome of a publish, and the messages that
 * the router gets.
 */

import t from 'tap';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { FAULT_NAMES, type FaultName, fault } from '../../../../loopback/faults.ts';
import { attempt } from '../../../attempt.ts';
import {
  brief,
  clock,
  entropy,
  envelope,
  openPublisher,
  sleep,
  startAzure,
  startReading,
  until,
} from '../../../loopback/azure-fixture.ts';
import { testDir } from '../../../test-dir.ts';

interface Case {
  /**
   * Outcomes of two publishes, 300 ms apart, the first on a connection that was open when the fault began.
   */
  outcomes: [string, string];
  /** How often the router gets each of the two, in order of arrival. */
  delivered: string[];
}

/** No connection was made: the publish's deadline or the connection's ends the try, whichever is first. */
const NO_CONNECTION = 'retryable/not-connected or timeout';

const TABLE: Record<FaultName, Case> = {
  refuse: { outcomes: ['retryable/connection-refused', 'retryable/connection-refused'], delivered: [] },
  // The first was sent and not answered; the second found no connection, so it certainly did not arrive.
  blackhole: { outcomes: ['unknown/deadline', NO_CONNECTION], delivered: [] },
  slow: { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  'slow-ramp': { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  // The acknowledgements come after the deadline; the hub drops unacknowledged messages.
  throttle: { outcomes: ['unknown/deadline', 'unknown/deadline'], delivered: [] },
  error: { outcomes: ['retryable/unavailable', 'retryable/unavailable'], delivered: [] },
  html503: { outcomes: ['retryable/server-error', 'retryable/server-error'], delivered: [] },
  reset: { outcomes: ['unknown/connection-lost', 'retryable/connection-reset'], delivered: [] },
  unauthorized: { outcomes: ['rejected/unauthorized', 'rejected/unauthorized'], delivered: [] },
  'ack-lost': { outcomes: ['unknown/connection-lost', 'unknown/connection-lost'], delivered: ['1', '2'] },
  duplicate: { outcomes: ['accepted', 'accepted'], delivered: ['1', '1', '2', '2'] },
  reorder: { outcomes: ['accepted', 'accepted'], delivered: ['1', '2'] },
  'drop-after-ack': { outcomes: ['accepted', 'accepted'], delivered: [] },
  flap: { outcomes: ['retryable/connection-refused', 'retryable/connection-refused'], delivered: [] },
};

t.test('each fault has its outcome, and goes without a trace', async (t) => {
  const ca = await createCertificateAuthority(clock, entropy);
  const caFile = `${testDir(t, { 'ca.pem': ca.ca })}/ca.pem`;
  const run = async (
    name: FaultName,
  ): Promise<{ name: FaultName; seen: Case; after: string; last: string[] }> => {
    const { cloud } = await startAzure(t, { ca, caFile });
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
    const reading = await startReading(t, { config: cloud.routerConfig() });
    const deadlineMs = TABLE[name].outcomes.includes('unknown/deadline') ? 700 : 5000;
    const publish = async (text: string): Promise<string> =>
      brief(await publisher.publish(envelope(text), attempt(deadlineMs)));
    await publisher.publish(envelope('0'), attempt(8000));
    await until(t, `${name}: the first event`, () => reading.texts().length === 1);
    await cloud.setFault(fault(name, { latencyMs: 250, jitterMs: 50, periodMs: 5000 }));
    await sleep(300);
    const first = await publish('1');
    await sleep(300);
    const second = (await publish('2')).replace(/^retryable\/(?:not-connected|timeout)$/, NO_CONNECTION);
    // `reorder` holds events for up to 500 ms.
    await sleep(700);
    const delivered = reading.texts().slice(1).sort();
    await cloud.setFault(null);
    await sleep(300);
    const after = await publish('3');
    await until(t, `${name}: the last event`, () => reading.texts().includes('3'));
    await sleep(50);
    return { name, seen: { outcomes: [first, second], delivered }, after, last: reading.texts().slice(-1) };
  };
  const results = await Promise.all(FAULT_NAMES.map(run));
  for (const { name, seen, after, last } of results) {
    t.strictSame(seen, TABLE[name], name);
    t.equal(after, 'accepted', `${name} cleared: accepted`);
    t.strictSame(last, ['3'], `${name} cleared: delivered once`);
  }
});

t.test('a throttled hub acknowledges late, then drops the connection under the next', async (t) => {
  const { cloud } = await startAzure(t);
  const cuts: string[] = [];
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), 60_000, (cut) => cuts.push(cut));
  await publisher.publish(envelope('0'), attempt(2000));
  await cloud.setFault(fault('throttle'));
  const start = clock.monoMs();
  const late = publisher
    .publish(envelope('1'), attempt(4000))
    .then((outcome) => ({ outcome, tookMs: clock.monoMs() - start }));
  await sleep(1200);
  const cut = await publisher.publish(envelope('2'), attempt(4000));
  const { outcome, tookMs } = await late;
  t.equal(brief(outcome), 'accepted');
  t.ok(tookMs > 1400, `acknowledged after ${Math.round(tookMs)} ms`);
  t.equal(brief(cut), 'unknown/connection-lost');
  t.same(cuts, ['late'], 'that is its word for it');
});

t.test(
  'a connection that ends before any answer is a cut, one that we end or never had is none',
  async (t) => {
    const { cloud } = await startAzure(t);
    const cuts: string[] = [];
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'), 60_000, (cut) => cuts.push(cut));
    await cloud.setFault(fault('throttle'));
    t.equal(brief(await publisher.publish(envelope('0'), attempt(700))), 'unknown/deadline', 'we end it');
    await cloud.setFault(fault('refuse'));
    await sleep(300);
    t.equal(brief(await publisher.publish(envelope('1'), attempt(2000))), 'retryable/connection-refused');
    t.same(cuts, []);
    await cloud.setFault(fault('ack-lost'));
    await sleep(300);
    t.equal(brief(await publisher.publish(envelope('2'), attempt(2000))), 'unknown/connection-lost');
    t.same(cuts, ['unanswered']);
    await cloud.setFault(null);
    await sleep(300);
    t.equal(brief(await publisher.publish(envelope('3'), attempt(2000))), 'accepted');
    await cloud.setFault(fault('error'));
    await sleep(100);
    t.same(cuts, ['unanswered'], 'it had answered, and in time');
  },
);

t.test('a connection that is lost with a publish in flight leaves it unknown', async (t) => {
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await publisher.publish(envelope('0'), attempt(2000));
  // Throttled: the acknowledgement is still out when the line goes down.
  await cloud.setFault(fault('throttle'));
  const inFlight = publisher.publish(envelope('1'), attempt(4000));
  await sleep(100);
  await cloud.setFault(fault('refuse'));
  t.equal(brief(await inFlight), 'unknown/connection-lost');
});
