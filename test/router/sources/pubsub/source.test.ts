/**
 * The Pub/Sub source against the loopback: nothing is acknowledged that was not settled (I5), and nothing
 * ends it but `stop`.
 */
import { SubscriberClient } from '@google-cloud/pubsub-api';
import t, { type Test } from 'tap';
import { openGcpPublisher } from '../../../../agent/providers/gcp/publisher.ts';
import type { Publisher } from '../../../../agent/providers/publisher.ts';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import { type PubSubOptions, pubsubOptions } from '../../../../router/sources/pubsub/options.ts';
import { type PubSubDeps, PubSubSource } from '../../../../router/sources/pubsub/source.ts';
import type { Delivery, Settlement, Source } from '../../../../router/sources/source.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { gcpChannel } from '../../../../shared/gcp/connection.ts';
import { openGcpCredentials, withCalls } from '../../../../shared/gcp/credentials.ts';
import { attempt } from '../../../attempt.ts';
import { deps, envelope, startGcp } from '../../../loopback/gcp-support.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { until } from '../../../until.ts';
import { HandGate } from '../hand-gate.ts';

t.test('a settled message is acknowledged, one to be retried comes again', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const deliveries: Delivery[] = [];
  const source = await openSource(t, router, async (delivery) => {
    deliveries.push(delivery);
    return deliveries.length < 3 ? 'retry' : 'settle';
  });
  const plain = envelope('x');
  const sent = { ...plain, properties: { ...plain.properties, why: 'redundant' as const } };
  await publisher.publish(sent, attempt(60_000));
  await until('cloud.meter().settled === 1', () => cloud.meter().settled === 1);
  t.same(
    deliveries.map(({ deliveryCount }) => deliveryCount),
    [1, 2, 3],
  );
  t.ok(deliveries.every(({ bytes }) => Buffer.from(bytes).equals(sent.bytes)));
  t.match(deliveries[0], { source: 'gcp', authenticatedGateway: null, sentAs: 'redundant' });
  const enqueuedAgoMs = deps.clock.wallMs() - (deliveries[0]?.enqueuedWallMs ?? 0);
  t.ok(Math.abs(enqueuedAgoMs) < 10_000, `published ${enqueuedAgoMs} ms ago`);
  t.match(deliveries[0]?.properties?.(), { messageId: String, published: /^20/, ...sent.properties });
  t.match(source.state(), { connected: true, received: 3, settled: 1, lastError: null });
  t.type(source.state().lastReceivedMs, 'number');
});

t.test('what waits while others are committed rests for half a minute, where deliveries count', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const texts: string[] = [];
  await openSource(t, router, async ({ bytes, deliveryCount }) => {
    texts.push(Buffer.from(bytes).toString());
    if (texts.at(-1) === 'blocked') return 'later';
    return deliveryCount === 3 ? 'settle' : 'retry';
  });
  for (const text of ['blocked', 'stubborn']) await publisher.publish(envelope(text), attempt(60_000));
  await until('the other one is settled', () => cloud.meter().settled === 1);
  t.equal(texts.filter((text) => text === 'blocked').length, 1);
});

t.test('not before it is settled; in hand at a stop is waited for', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const settle = Promise.withResolvers<Settlement>();
  let received = 0;
  const source = await openSource(t, router, () => {
    received += 1;
    return settle.promise;
  });
  for (let i = 0; i < 50; i++) await publisher.publish(envelope(`x${i}`), attempt(60_000));
  await until('received === 50', () => received === 50);
  await publisher.publish(envelope('one more'), attempt(60_000));
  await until('one more', () => received === 51);
  t.equal(cloud.meter().settled, 0);
  const stopped = source.stop();
  await publisher.publish(envelope('late'), attempt(60_000));
  settle.resolve('settle');
  await stopped;
  t.equal(cloud.meter().settled, 51);
  t.equal(received, 51, 'no new message after stop');
  t.match(source.state(), { connected: false, received: 51, settled: 51 });
});

t.test('what is not settled when a stop has waited long enough goes to the next reader', async (t) => {
  // No lease ends by its time; tokens are younger than the cloud’s clock.
  const { cloud, agent, router } = await startGcp(t, false, new ManualClock(systemClock.wallMs() + 60_000));
  const publisher = await openPublisher(t, agent);
  const never = new Promise<Settlement>(() => undefined);
  let received = 0;
  const first = await openSource(t, router, () => {
    received += 1;
    return never;
  });
  await publisher.publish(envelope('x'), attempt(60_000));
  await until('received === 1', () => received === 1);
  await first.stop();
  t.equal(cloud.meter().settled, 0);
  const counts: (number | null)[] = [];
  await openSource(t, router, async ({ deliveryCount }) => {
    counts.push(deliveryCount);
    return 'settle';
  });
  await until('cloud.meter().settled === 1', () => cloud.meter().settled === 1);
  t.same(counts, [2]);
});

t.test('a message at rest before its retry is given back at a stop', async (t) => {
  // No lease ends by its time; tokens are younger than the cloud’s clock.
  const { cloud, agent, router } = await startGcp(t, false, new ManualClock(systemClock.wallMs() + 60_000));
  const publisher = await openPublisher(t, agent);
  let received = 0;
  const first = await openSource(t, router, async () => {
    received += 1;
    return 'retry';
  });
  await publisher.publish(envelope('x'), attempt(60_000));
  await until('received === 1', () => received === 1);
  await first.stop();
  await openSource(t, router, async () => 'settle');
  await until('cloud.meter().settled === 1', () => cloud.meter().settled === 1);
});

t.test('a subscription that is not there yet is read as soon as it is', async (t) => {
  const { agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  let received = 0;
  const source = await openSource(t, { ...router, subscription: 'later' }, async () => {
    received += 1;
    return 'settle';
  });
  await until('lastError !== null', () => source.state().lastError !== null);
  t.match(source.state(), { lastError: /Resource not found/ });
  const trust = await openGcpCredentials(router, deps.clock);
  const admin = new SubscriberClient({
    ...gcpChannel(router).client,
    sslCreds: withCalls(trust.channel, trust),
  });
  t.after(() => admin.close());
  const parent = 'projects/headgate-loopback';
  await admin.createSubscription({
    name: `${parent}/subscriptions/later`,
    topic: `${parent}/topics/headgate`,
  });
  await publisher.publish(envelope('x'), attempt(60_000));
  await until('received === 1', () => received === 1);
});

t.test('a line that breaks, or is not there at the start, is waited for', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const targetPort = gcpChannel(router).client.port;
  const proxy = new TcpProxy({ targetPort, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  await proxy.setFault(fault('refuse'));
  let received = 0;
  const source = await openSource(t, { ...router, endpoint: `localhost:${proxy.port}` }, async () => {
    received += 1;
    return 'settle';
  });
  t.equal(source.state().connected, false);
  for (const round of [1, 2]) {
    await publisher.publish(envelope(`x${round}`), attempt(60_000));
    await proxy.setFault(null);
    await until('received === round', () => received === round);
    t.equal(source.state().connected, true);
    await until('cloud.meter().settled === round', () => cloud.meter().settled === round);
    await proxy.setFault(fault('refuse'));
    await until('!connected', () => !source.state().connected);
  }
});

t.test('plaintext without credentials, as to an emulator', async (t) => {
  const { agent, router } = await startGcp(t, true);
  const publisher = await openPublisher(t, agent);
  let received = 0;
  await openSource(t, router, async () => {
    received += 1;
    return 'settle';
  });
  await publisher.publish(envelope('x'), attempt(60_000));
  await until('received === 1', () => received === 1);
});

t.test('while the ledger does not commit, a message is held under its lease', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const gate = new HandGate();
  const counts: (number | null)[] = [];
  let isAway: boolean = true;
  const handler = async ({ deliveryCount }: Delivery): Promise<Settlement> => {
    counts.push(deliveryCount);
    // A source that does not wait would ask for ever.
    if (counts.length > 50) return 'settle';
    if (isAway) gate.close();
    return isAway ? 'retry' : 'settle';
  };
  await openSource(t, router, handler, { gate });
  await publisher.publish(envelope('x'), attempt(60_000));
  await until('the message', () => counts.length > 0);
  isAway = false;
  gate.open();
  await until('settled', () => cloud.meter().settled === 1);
  t.same(counts, [1, 1], 'one delivery, handled twice');
  t.equal(cloud.meter().delivered, 1);
});

t.test('a connection on which nothing is answered is cut, and the next one reads on', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openPublisher(t, agent);
  const proxy = new TcpProxy({ targetPort: gcpChannel(router).client.port, port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  const options = { ...router, endpoint: `localhost:${proxy.port}` };
  const times = { watchMs: 100, answerMs: 1000 };
  const source = await openSource(t, options, async () => 'settle', times);
  await until('connected', () => source.state().connected);
  await proxy.setFault(fault('blackhole'));
  await until('the first cut', () => source.state().cuts > 0);
  t.match(source.state(), { connected: false, lastError: /^answer: no answer in \d+ ms$/ });
  await until('a mute handshake is cut too', () => source.state().cuts > 1);
  t.match(source.state(), { lastError: /^tls: no answer in \d+ ms$/ });
  await publisher.publish(envelope('x'), attempt(60_000));
  await proxy.setFault(null);
  await until('settled', () => cloud.meter().settled === 1);
  await until('the old error is forgotten', () => source.state().lastError === null);
  t.equal(source.state().connected, true);
});

t.test('options', async (t) => {
  t.match(pubsubOptions.parse({ project: 'p', subscription: 's' }), { insecure: false });
  t.throws(() => pubsubOptions.parse({ project: 'p' }));
});

async function openPublisher(t: Test, agent: Parameters<typeof openGcpPublisher>[0]): Promise<Publisher> {
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  return publisher;
}

async function openSource(
  t: Test,
  options: PubSubOptions,
  handler: (delivery: Delivery) => Promise<Settlement>,
  more: Partial<PubSubDeps> = {},
): Promise<Source> {
  const source = new PubSubSource('gcp', options, { ...deps, ...more });
  await source.start(handler);
  t.after(() => source.stop());
  return source;
}
