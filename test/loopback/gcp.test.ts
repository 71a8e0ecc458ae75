/** The loopback Pub/Sub against the unmodified SDK, and against what the vendor documents. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { type Message, PubSub } from '@google-cloud/pubsub';
import { PublisherClient, SubscriberClient } from '@google-cloud/pubsub-api';
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { SignJWT } from 'jose';
import t, { type Test } from 'tap';
import { openGcpPublisher } from '../../agent/providers/gcp/publisher.ts';
import { fault } from '../../loopback/faults.ts';
import type { GcpAccess } from '../../shared/gcp/access-options.ts';
import { gcpChannel } from '../../shared/gcp/connection.ts';
import { openGcpCredentials, withCalls } from '../../shared/gcp/credentials.ts';
import { attempt } from '../attempt.ts';
import { ManualClock } from '../manual-clock.ts';
import { until } from '../until.ts';
import { deps, envelope, type GcpFixture, startGcp } from './gcp-support.ts';

const SUBSCRIPTION = 'projects/headgate-loopback/subscriptions/headgate-router';
const TOPIC = 'projects/headgate-loopback/topics/headgate';
const EMAIL = 'headgate@headgate-loopback.iam.gserviceaccount.com';

t.test('only a JWT of the account, for Pub/Sub, that is valid now is let in', async (t) => {
  const { agent } = await startGcp(t);
  const account = agent.credentials;
  if (!account || !('private_key' in account)) throw new Error('no inline key');
  const own = createPrivateKey(account.private_key);
  const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const nowS = Math.floor(deps.clock.wallMs() / 1000);
  const good = { iss: EMAIL, sub: EMAIL, aud: 'https://pubsub.googleapis.com/', iat: nowS, exp: nowS + 3600 };
  const cases: [string, object, typeof own, number][] = [
    ['as it should be', good, own, status.OK],
    ['signed by another key', good, foreign, status.UNAUTHENTICATED],
    ['another issuer', { ...good, iss: 'someone@else' }, own, status.UNAUTHENTICATED],
    ['another audience', { ...good, aud: 'https://storage.googleapis.com/' }, own, status.UNAUTHENTICATED],
    [
      'the called service as audience',
      { ...good, aud: 'https://pubsub.googleapis.com/google.pubsub.v1.Publisher' },
      own,
      status.OK,
    ],
    [
      'another service as audience',
      { ...good, aud: 'https://pubsub.googleapis.com/google.pubsub.v1.Subscriber' },
      own,
      status.UNAUTHENTICATED,
    ],
    [
      'a scope in place of the audience',
      { ...good, aud: undefined, scope: 'openid https://www.googleapis.com/auth/pubsub' },
      own,
      status.OK,
    ],
    ['neither', { ...good, aud: undefined }, own, status.UNAUTHENTICATED],
    [
      'another scope',
      { ...good, aud: undefined, scope: 'https://www.googleapis.com/auth/devstorage.full_control' },
      own,
      status.UNAUTHENTICATED,
    ],
    ['expired', { ...good, iat: nowS - 3000, exp: nowS - 10 }, own, status.UNAUTHENTICATED],
    ['older than an hour', { ...good, iat: nowS - 3700 }, own, status.UNAUTHENTICATED],
    ['without an end', { ...good, exp: undefined }, own, status.UNAUTHENTICATED],
  ];
  const trust = await openGcpCredentials(agent, deps.clock);
  for (const [name, claims, key, expected] of cases) {
    const token = await new SignJWT({ ...claims }).setProtectedHeader({ alg: 'RS256' }).sign(key);
    const call = credentials.createFromMetadataGenerator((_call, callback) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${token}`);
      callback(null, metadata);
    });
    const sslCreds = credentials.combineChannelCredentials(trust.channel, call);
    const client = new PublisherClient({ ...gcpChannel(agent).client, sslCreds });
    const code = await client.getTopic({ topic: TOPIC }, { retry: null }).then(
      () => status.OK,
      (error: { code: number }) => error.code,
    );
    t.equal(code, expected, name);
    await client.close();
  }
  const client = new PublisherClient({ ...gcpChannel(agent).client, sslCreds: trust.channel });
  await t.rejects(
    client.getTopic({ topic: TOPIC }, { retry: null }),
    { code: status.UNAUTHENTICATED },
    'none',
  );
  await client.close();
});

t.test('1 MB of every byte arrives as it left, with its attributes', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  const sent = envelope(Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
  t.same(await publisher.publish(sent, attempt(5000)), { kind: 'accepted' });
  const subscriber = await openSubscriber(t, router);
  const [message] = await pull(subscriber, SUBSCRIPTION);
  t.ok(message && Buffer.from(message.message?.data ?? '').equals(sent.bytes), 'byte for byte');
  t.same({ ...message?.message?.attributes }, { ...sent.properties });
  t.match(cloud.meter(), { accepted: 1, bytes: 1_000_000, delivered: 1, settled: 0 });
});

t.test(
  'an unacknowledged message comes again after its deadline, and after a nack, with the next attempt',
  async (t) => {
    const clock = aheadClock();
    const { cloud, agent, router } = await startGcp(t, false, clock);
    const publisher = await openGcpPublisher(agent, deps);
    t.after(() => publisher.close());
    await publisher.publish(envelope('x'), attempt(1000));
    const subscriber = await openSubscriber(t, router);
    const [first] = await pull(subscriber, SUBSCRIPTION);
    t.equal(first?.deliveryAttempt, 1);
    const lease = (ackId: string, ackDeadlineSeconds: number) =>
      subscriber.modifyAckDeadline({ subscription: SUBSCRIPTION, ackIds: [ackId], ackDeadlineSeconds });
    await lease(first?.ackId ?? '', 1);
    t.same(await pull(subscriber, SUBSCRIPTION), [], 'not while it is leased');
    clock.advance(999);
    t.same(await pull(subscriber, SUBSCRIPTION), [], 'not a moment before its end');
    clock.advance(1);
    const [second] = await pull(subscriber, SUBSCRIPTION);
    t.equal(second?.deliveryAttempt, 2);
    await lease(second?.ackId ?? '', 0);
    const [third] = await pull(subscriber, SUBSCRIPTION);
    t.equal(third?.deliveryAttempt, 3, 'at once after a nack');
    await subscriber.acknowledge({ subscription: SUBSCRIPTION, ackIds: [third?.ackId ?? ''] });
    t.same(await pull(subscriber, SUBSCRIPTION), [], 'never after an ack');
    t.match(cloud.meter(), { delivered: 3, settled: 1 });
  },
);

t.test('exactly once: acks are confirmed, and a late one is told that it did not count', async (t) => {
  const { agent, router } = await startGcp(t);
  const pubsub = await openPubSub(t, router);
  const [topic] = await pubsub.createTopic('orders');
  await topic.createSubscription('once', { enableExactlyOnceDelivery: true });
  const [metadata] = await pubsub.subscription('once').getMetadata();
  t.equal(metadata.enableExactlyOnceDelivery, true);
  await t.rejects(pubsub.createTopic('orders'), { code: status.ALREADY_EXISTS });
  await t.rejects(pubsub.topic('nowhere').createSubscription('x'), { code: status.NOT_FOUND });
  const publisher = await openGcpPublisher({ ...agent, topic: 'orders' }, deps);
  t.after(() => publisher.close());
  await publisher.publish(envelope('x'), attempt(1000));
  const subscription = pubsub.subscription('once', { streamingOptions: { maxStreams: 1 } });
  const message = await new Promise<Message>((resolve) => subscription.on('message', resolve));
  t.equal(await message.ackWithResponse(), 'SUCCESS');
  await subscription.close();
  const subscriber = await openSubscriber(t, router);
  const once = 'projects/headgate-loopback/subscriptions/once';
  const late = subscriber.acknowledge({ subscription: once, ackIds: [message.ackId] });
  await t.rejects(late, { code: status.FAILED_PRECONDITION });
});

t.test('flow control: no more is sent than may be outstanding', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  for (let i = 0; i < 12; i++) await publisher.publish(envelope(`x${i}`), attempt(1000));
  const pubsub = await openPubSub(t, router);
  const held: Message[] = [];
  const subscription = pubsub.subscription('headgate-router', {
    flowControl: { maxMessages: 5 },
    batching: { maxMilliseconds: 1 },
    streamingOptions: { maxStreams: 1 },
  });
  subscription.on('message', (message) => held.push(message));
  await until('five messages arrive', () => held.length === 5);
  t.equal(cloud.meter().delivered, 5);
  held[0]?.ack();
  held[1]?.ack();
  await until('two more arrive', () => held.length === 7);
  t.equal(cloud.meter().delivered, 7);
  await subscription.close();
});

t.test('the meter counts as the vendor bills', async (t) => {
  const { cloud, agent } = await startGcp(t);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  await publisher.publish(envelope('x', 'vitals'), attempt(1000));
  t.match(
    cloud.meter(),
    { accepted: 1, requests: 1, bytes: 1, units: 1000 },
    'at least 1,000 bytes a request',
  );
  const large = envelope(new Uint8Array(5000), 'bulk');
  await publisher.publish(large, attempt(1000));
  const attributes = Object.entries(large.properties).reduce((sum, [k, v]) => sum + k.length + v.length, 0);
  t.equal(
    cloud.meter().units,
    1000 + 5000 + attributes + 20 + 16,
    'data, attributes, timestamp and message id',
  );
  await cloud.setFault(fault('throttle'));
  await publisher.publish(large, attempt(1000));
  await cloud.setFault(fault('drop-after-ack'));
  await publisher.publish(large, attempt(1000));
  t.match(cloud.meter(), { accepted: 3, requests: 4, bytes: 10_001, perStream: { vitals: 1, bulk: 2 } });
});

t.test('reorder hands on shuffled, within half a second, and loses nothing', async (t) => {
  const clock = aheadClock();
  const { cloud, agent, router } = await startGcp(t, false, clock);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  await cloud.setFault(fault('reorder'));
  const sent = Array.from({ length: 20 }, (_, i) => `n${i}`);
  for (const text of sent) await publisher.publish(envelope(text), attempt(1000));
  const subscriber = await openSubscriber(t, router);
  const got: string[] = [];
  const pullAll = async (): Promise<boolean> => {
    const messages = await pull(subscriber, SUBSCRIPTION);
    got.push(...messages.map(({ message }) => Buffer.from(message?.data ?? '').toString()));
    return got.length === sent.length;
  };
  t.notOk(await pullAll(), 'held back, with the clock stopped');
  clock.advance(500);
  await until('all messages come', pullAll);
  t.notSame(got, sent);
  t.same(new Set(got), new Set(sent));
});

t.test('insecure: the SDK as it talks to the emulator', async (t) => {
  // Without it the SDK looks for a metadata server, credentials or not.
  process.env['METADATA_SERVER_DETECTION'] = 'none';
  const { cloud, agent, router } = await startGcp(t, true);
  const project = { projectId: agent.project };
  const publisher = new PubSub({ ...project, apiEndpoint: agent.endpoint ?? '' });
  t.after(() => publisher.close());
  t.match(await publisher.topic('headgate').publishMessage({ data: Buffer.from('x') }), /^\d{16}$/);
  const subscriber = new PubSub({ ...project, apiEndpoint: router.endpoint ?? '' });
  t.after(() => subscriber.close());
  const subscription = subscriber.subscription('headgate-router', { streamingOptions: { maxStreams: 1 } });
  const message = await new Promise<Message>((resolve) => subscription.on('message', resolve));
  t.equal(message.data.toString(), 'x');
  message.ack();
  await until('the message is settled', () => cloud.meter().settled === 1);
  await subscription.close();
});

t.test('a fault does not hit subscribers', async (t) => {
  const { cloud, agent, router } = await startGcp(t);
  const publisher = await openGcpPublisher(agent, deps);
  t.after(() => publisher.close());
  await publisher.publish(envelope('x'), attempt(1000));
  const subscriber = await openSubscriber(t, router);
  for (const name of ['blackhole', 'html503', 'unauthorized', 'refuse'] as const) {
    await cloud.setFault(fault(name));
    const [message] = await pull(subscriber, SUBSCRIPTION);
    t.ok(message, name);
    const ackIds = [message?.ackId ?? ''];
    await subscriber.modifyAckDeadline({ subscription: SUBSCRIPTION, ackIds, ackDeadlineSeconds: 0 });
  }
  t.equal(cloud.fault()?.name, 'refuse');
});

async function clientOptions(access: GcpAccess) {
  const trust = await openGcpCredentials(access, deps.clock);
  return { ...gcpChannel(access).client, sslCreds: withCalls(trust.channel, trust) };
}

async function openSubscriber(t: Test, router: GcpFixture['router']): Promise<SubscriberClient> {
  const client = new SubscriberClient(await clientOptions(router));
  t.after(() => client.close());
  return client;
}

async function openPubSub(t: Test, router: GcpFixture['router']): Promise<PubSub> {
  const { servicePath, port, ...rest } = await clientOptions(router);
  const pubsub = new PubSub({
    projectId: router.project,
    apiEndpoint: `${servicePath}:${port}`,
    emulatorMode: false,
    ...rest,
  });
  t.after(() => pubsub.close());
  return pubsub;
}

/**
 * A minute ahead of the machine: the SDK's tokens, made later by the machine's clock, are not from the
 * future.
 */
function aheadClock(): ManualClock {
  return new ManualClock(deps.clock.wallMs() + 60_000);
}

async function pull(subscriber: SubscriberClient, subscription: string) {
  const [answer] = await subscriber.pull({ subscription, maxMessages: 100, returnImmediately: true });
  return answer.receivedMessages ?? [];
}
