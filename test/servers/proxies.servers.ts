/** Every kind of connection that can go through an HTTP proxy, through Debian's tinyproxy with a login. */
import t, { type Test } from 'tap';
import { mqttOptions } from '../../agent/providers/mqtt/options.ts';
import { openMqttPublisher } from '../../agent/providers/mqtt/publisher.ts';
import { PubSubSource } from '../../router/sources/pubsub/source.ts';
import type { Source } from '../../router/sources/source.ts';
import { SqsSource } from '../../router/sources/sqs/source.ts';
import { openShadows } from '../../shared/aws-shadow.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { type Cloud, KINDS, type Kind } from '../agent/providers/kinds.ts';
import { startBroker } from '../agent/providers/mqtt/support.ts';
import { attempt } from '../attempt.ts';
import { deps, envelope, startGcp } from '../loopback/gcp-support.ts';
import { startAws } from '../loopback/start-aws.ts';
import { until } from '../until.ts';
import { Tinyproxy } from './tinyproxy.ts';

const LONG_MS = 30_000;

const WEBSOCKET: Kind = {
  isRecallable: false,
  isShared: true,
  async start(t) {
    const { port, published } = await startBroker(t, { ws: true });
    return {
      port,
      arrived: () => published.length,
      open: (via, network) =>
        openMqttPublisher(mqttOptions.parse({ url: `ws://localhost:${via}/mqtt`, ...network }), deps),
    };
  },
};
const { mqtt: _overTcp, ...others } = KINDS;

async function started(t: Test): Promise<Tinyproxy> {
  const proxy = new Tinyproxy();
  await proxy.start();
  t.teardown(() => proxy.remove());
  return proxy;
}

for (const [name, kind] of Object.entries({ ...others, websocket: WEBSOCKET })) {
  t.test(`${name}: publishes go through the proxy`, async (t) => {
    const [proxy, cloud] = [await started(t), await kind.start(t)];
    const publisher = await open(t, cloud, proxy.url);
    t.match(await publisher.publish(envelope('one'), attempt(LONG_MS)), { kind: 'accepted' });
    t.equal(cloud.arrived(), 1);
    t.strictSame(proxy.tunnels(), [`localhost:${cloud.port}`], 'over one tunnel');
  });

  t.test(`${name}: a proxy that refuses or is away is named, without its password`, async (t) => {
    const [proxy, cloud] = [await started(t), await kind.start(t)];
    const wrong = await open(t, cloud, proxy.wrongUrl);
    const refused = await wrong.publish(envelope('one'), attempt(LONG_MS));
    t.equal(refused.kind, 'retryable', JSON.stringify(refused));
    if (name !== 'azure') t.match(JSON.stringify(refused), /40[17]/);
    t.notMatch(JSON.stringify(refused), /secret|ZWRnZ/);
    const publisher = await open(t, cloud, proxy.url);
    await proxy.stop();
    const away = await publisher.publish(envelope('two'), attempt(LONG_MS));
    t.equal(away.kind, 'retryable', JSON.stringify(away));
    t.notMatch(JSON.stringify(away), /secret|ZWRnZ/);
    await proxy.start();
    await until(
      'it accepts again',
      async () => (await publisher.publish(envelope('three'), attempt(LONG_MS))).kind === 'accepted',
    );
    t.equal(cloud.arrived(), 1);
  });
}

async function open(t: Test, cloud: Cloud, proxy: string) {
  const publisher = await cloud.open(cloud.port, { proxy });
  t.teardown(() => publisher.close());
  return publisher;
}

async function settling(t: Test, source: Source): Promise<string[]> {
  const seen: string[] = [];
  t.teardown(() => source.stop());
  await source.start(async ({ bytes }) => {
    seen.push(Buffer.from(bytes).toString());
    return 'settle';
  });
  return seen;
}

t.test('the router reads SQS through the proxy', async (t) => {
  const [proxy, { agent, router }] = [await started(t), await startAws(t)];
  const { openAwsPublisher } = await import('../../agent/providers/aws/publisher.ts');
  const publisher = await openAwsPublisher(agent, deps);
  t.teardown(() => publisher.close());
  const source = new SqsSource('aws', { ...router, proxy: proxy.url }, deps);
  const seen = await settling(t, source);
  await publisher.publish(envelope('one'), attempt(LONG_MS));
  await until('it is read', () => seen.length > 0);
  t.ok(proxy.tunnels().includes(new URL(router.endpoint ?? router.queue_url).host));
});

t.test('the router reads Pub/Sub through the proxy', async (t) => {
  const [proxy, { agent, router }] = [await started(t), await startGcp(t)];
  const { openGcpPublisher } = await import('../../agent/providers/gcp/publisher.ts');
  const publisher = await openGcpPublisher(agent, deps);
  t.teardown(() => publisher.close());
  const source = new PubSubSource('gcp', { ...router, proxy: proxy.url }, { clock, entropy, log: deps.log });
  const seen = await settling(t, source);
  await publisher.publish(envelope('one'), attempt(LONG_MS));
  await until('it is read', () => seen.length > 0);
  t.ok(proxy.tunnels().includes(String(router.endpoint)));
});

t.test('shadows are asked for through the proxy', async (t) => {
  const [proxy, { agent }] = [await started(t), await startAws(t)];
  const { client, sdk } = await openShadows({ ...agent, shadow: 'headgate', proxy: proxy.url }, 1, clock);
  t.teardown(() => client.destroy());
  const asking = client.send(new sdk.GetThingShadowCommand({ thingName: 'gw-1', shadowName: 'headgate' }));
  await t.rejects(asking, { name: 'ResourceNotFoundException' });
  t.strictSame(proxy.tunnels(), [new URL(agent.endpoint).host]);
});
