/**
 * Receipts through Pub/Sub: the router's carrier on one side of the loopback Pub/Sub, a gateway's downlink on
 * the other.
 */
import { generateKeyPairSync } from 'node:crypto';
import t, { type Test } from 'tap';
import { fault } from '../../../loopback/faults.ts';
import { TopicCarrier, topicOptions } from '../../../router/receipts/pubsub.ts';
import { systemClock } from '../../../shared/clock.ts';
import { deps, type GcpFixture, startGcp } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { carriage } from '../../router/receipts/support.ts';
import { until } from '../../until.ts';
import { NOW_MS, nothingForgedCounts } from './hostile.ts';
import { makeReceiptTopic, SUBSCRIPTION, TOPIC } from './subscription-support.ts';
import { events, never, openConfigured, receipt } from './support.ts';

/** The loopback Pub/Sub holds an empty pull so long. */
const PULL_MS = 10_000;

function open(t: Test, { agent }: GcpFixture, options: Record<string, unknown> = {}, wallMs?: number) {
  const { topic: _topic, region: _region, next_credentials: _next, ...access } = agent;
  const config = { type: 'gcp', name: 'pubsub', subscription: SUBSCRIPTION, ...access, ...options };
  return openConfigured(t, config, wallMs === undefined ? {} : { wallMs });
}

/** Publishes through the port without faults. */
function carrierTo(t: Test, { router }: GcpFixture, topic = TOPIC): TopicCarrier {
  const { subscription: _, ...access } = router;
  const carrier = new TopicCarrier(topicOptions.parse({ ...access, topic }), deps);
  t.teardown(() => carrier.close());
  return carrier;
}

t.test(
  'a receipt arrives as it left; what is foreign, old or none is acknowledged, counted, dropped',
  async (t) => {
    const fixture = await startGcp(t);
    const pubsub = await makeReceiptTopic(t, fixture.router);
    const carrier = carrierTo(t, fixture);
    const { downlink, receipts, receiver, lines, told } = await open(t, fixture);
    t.same(await carrier.send(carriage(receipt(5)), never), { kind: 'sent' });
    await until('receipt 1 came', () => receipts.length === 1);
    t.same(receipts, [receipt(5)]);
    await until('the downlink is up', () => downlink.isUp);
    t.same(await carrier.send(carriage(receipt(6, 'gw-2')), never), { kind: 'sent' });
    t.same(await carrier.send(carriage(receipt(4)), never), { kind: 'sent' });
    const topic = pubsub.topic(TOPIC);
    const attributes = { gateway: 'gw-1' };
    await topic.publishMessage({ data: Buffer.from('no receipt'), attributes });
    await topic.publishMessage({ data: Buffer.from('{}'), attributes });
    await topic.publishMessage({ data: Buffer.from('nobody’s') });
    t.same(await carrier.send(carriage(receipt(7)), never), { kind: 'sent' });
    await until(
      'both receipts came and are acknowledged',
      () => receipts.length === 2 && fixture.cloud.meter().unsettled === 0,
    );
    t.match(receiver.counts, { applied: 2, old: 1, malformed: 2, implausible: 0, foreign: 2 });
    t.equal(told(), 2, 'only what is newer is a word of the router');
    t.equal(lines.filter((line) => line.includes('downlink.malformed')).length, 1, 'logged when it begins');
    t.ok(downlink.isUp, 'whatever others publish');
  },
);

t.test('a subscription with a filter gets no other gateway’s', async (t) => {
  const fixture = await startGcp(t);
  await makeReceiptTopic(t, fixture.router, 'attributes.gateway="gw-1"');
  const carrier = carrierTo(t, fixture);
  const { receipts, receiver } = await open(t, fixture);
  await carrier.send(carriage(receipt(8, 'gw-2')), never);
  await carrier.send(carriage(receipt(7)), never);
  await until('receipt 1 came', () => receipts.length === 1);
  t.equal(receiver.counts.foreign, 0);
});

t.test('Pub/Sub that goes away is told, and found again; what came meanwhile is there', async (t) => {
  const fixture = await startGcp(t);
  await makeReceiptTopic(t, fixture.router);
  const carrier = carrierTo(t, fixture);
  const { downlink, receipts, lines } = await open(t, fixture);
  await carrier.send(carriage(receipt(1)), never);
  await until('receipt 1 came and the downlink is up', () => receipts.length === 1 && downlink.isUp);
  await fixture.cloud.setFault(fault('refuse'));
  await until('the downlink is down', () => !downlink.isUp);
  await carrier.send(carriage(receipt(2)), never);
  await fixture.cloud.setFault(null);
  await until('receipt 2 came and the downlink is up', () => receipts.length === 2 && downlink.isUp);
  t.same(events(lines), ['downlink.up', 'downlink.down', 'downlink.up'], 'one line for each change');
});

t.test('credentials that are refused give way to the next ones, and are never shown', async (t) => {
  const fixture = await startGcp(t);
  await makeReceiptTopic(t, fixture.router);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const foreign = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const email = 'headgate@headgate-loopback.iam.gserviceaccount.com';
  const { receipts, lines } = await open(t, fixture, {
    credentials: { client_email: email, private_key: foreign },
    next_credentials: fixture.agent.credentials,
  });
  await carrierTo(t, fixture).send(carriage(receipt(1)), never);
  await until('receipt 1 came', () => receipts.length === 1);
  t.match(lines[0], /downlink.down.*UNAUTHENTICATED/);
  t.notMatch(lines.join(), /PRIVATE KEY|Bearer/);
});

t.test(
  'a stop does not wait for the pull under way; a file that is missing stops nothing (I9)',
  async (t) => {
    const clock = new ManualClock(systemClock.wallMs() + 60_000);
    const fixture = await startGcp(t, false, clock);
    await makeReceiptTopic(t, fixture.router);
    const { downlink, receipts } = await open(t, fixture);
    await until('Pub/Sub holds the pull', () => clock.isDueIn(PULL_MS));
    await carrierTo(t, fixture).send(carriage(receipt(1)), never);
    await until('receipt 1 came', () => receipts.length === 1);
    await until('receipt 1 is acknowledged', () => fixture.cloud.meter().unsettled === 0);
    await until('Pub/Sub holds the next pull', () => clock.isDueIn(PULL_MS));
    await downlink.stop();
    await until('Pub/Sub sees its end', () => !clock.isDueIn(PULL_MS));
    t.equal(clock.monoMs(), 0, 'not by its time');
    const { lines } = await open(t, fixture, { credentials: { key_file: '/nowhere/key.json' } });
    await until('a line is logged', () => lines.length > 0);
    t.match(lines[0], /ENOENT/);
  },
);

t.test('a topic that is not there is told, and a send ends with its signal', async (t) => {
  const fixture = await startGcp(t);
  const carrier = carrierTo(t, fixture, 'nowhere');
  t.match(await carrier.send(carriage(receipt(1)), never), { kind: 'failed', problem: /Resource not found/ });
  t.match(await carrier.send(carriage(receipt(1)), AbortSignal.abort()), {
    kind: 'failed',
    problem: /stopping/,
  });
});

t.test('nothing in a subscription counts but what the router signed for this gateway', async (t) => {
  const fixture = await startGcp(t);
  await makeReceiptTopic(t, fixture.router);
  const carrier = carrierTo(t, fixture);
  const { receiver, receipts } = await open(t, fixture, {}, NOW_MS);
  const put = (text: string) => carrier.send({ gateway: 'gw-1', text }, never);
  await nothingForgedCounts(t, { receiver, receipts, put });
});
