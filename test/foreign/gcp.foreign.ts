/** google-cloud-pubsub for Python against the loopback Pub/Sub; agent and router against Google’s pstest. */
import t, { type Test } from 'tap';
import { gcpOptions } from '../../agent/providers/gcp/options.ts';
import { openGcpPublisher } from '../../agent/providers/gcp/publisher.ts';
import { pubsubOptions } from '../../router/sources/pubsub/options.ts';
import { PubSubSource } from '../../router/sources/pubsub/source.ts';
import type { Delivery } from '../../router/sources/source.ts';
import { attempt } from '../attempt.ts';
import { deps, envelope, startGcp } from '../loopback/gcp-support.ts';
import { until } from '../until.ts';
import { runPython, serveGo } from './tools.ts';

for (const audience of ['host', 'service']) {
  t.test(`google-cloud-pubsub publishes, pulls by stream and acknowledges: audience ${audience}`, (t) =>
    publishAndPull(t, audience),
  );
}

async function publishAndPull(t: Test, audience: string): Promise<void> {
  const { agent, router, cloud } = await startGcp(t);
  const { client_email: email, private_key: key } = Object(agent.credentials);
  const messages = ['00ff', '61'];
  const told = await runPython('pubsub.py', {
    email,
    key,
    ca_file: agent.ca_file,
    publish: agent.endpoint,
    subscribe: router.endpoint,
    project: agent.project,
    topic: agent.topic,
    subscription: router.subscription,
    messages,
    audience,
  });
  t.same(
    told.map(({ data }) => String(data)).toSorted((a, b) => a.localeCompare(b)),
    messages,
  );
  t.match(told[0], { attributes: { gw: 'gw-1', st: 'foreign' } });
  t.match(cloud.meter(), { accepted: 2, delivered: 2 });
}

t.test(
  'Google’s pstest takes what the agent publishes, and the router acknowledges each message',
  async (t) => {
    const project = 'plant-1';
    const subscription = 'headgate-router';
    const server = await serveGo('pstest', {
      topic: `projects/${project}/topics/headgate`,
      subscription: `projects/${project}/subscriptions/${subscription}`,
    });
    const access = { project, endpoint: server.told['endpoint'], insecure: true };
    const publisher = await openGcpPublisher(gcpOptions.parse(access), deps);
    const source = new PubSubSource('gcp', pubsubOptions.parse({ ...access, subscription }), deps);
    const deliveries: Delivery[] = [];
    const texts = ['one', 'two', '\u0000\ufeff\u00ff', 'x'.repeat(1_000_000)];
    try {
      for (const text of texts) {
        const outcome = await publisher.publish(envelope(text), attempt(60_000));
        t.match(outcome, { kind: 'accepted' });
      }
      await source.start((delivery) => {
        deliveries.push(delivery);
        return Promise.resolve('settle');
      });
      await until('all are delivered', () => deliveries.length >= texts.length);
      t.same(new Set(deliveries.map(({ bytes }) => Buffer.from(bytes).toString())), new Set(texts));
    } finally {
      await source.stop();
      await publisher.close();
      t.match(await server.stop(), [{ messages: texts.length, acks: texts.length }]);
    }
  },
);
