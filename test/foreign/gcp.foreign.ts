/** google-cloud-pubsub for Python against the loopback Pub/Sub. */
import t from 'tap';
import { startGcp } from '../loopback/gcp-support.ts';
import { runPython } from './tools.ts';

t.test('google-cloud-pubsub publishes, pulls by stream and acknowledges', async (t) => {
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
  });
  t.same(
    told.map(({ data }) => String(data)).toSorted((a, b) => a.localeCompare(b)),
    messages,
  );
  t.match(told[0], { attributes: { gw: 'gw-1', st: 'foreign' } });
  t.match(cloud.meter(), { accepted: 2, delivered: 2 });
});
