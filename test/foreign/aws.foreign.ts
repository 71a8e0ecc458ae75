/** boto3 against the loopback AWS; our agent and router against moto. */
import t from 'tap';
import { awsOptions } from '../../agent/providers/aws/options.ts';
import { openAwsPublisher } from '../../agent/providers/aws/publisher.ts';
import type { Delivery } from '../../router/sources/source.ts';
import { sqsOptions } from '../../router/sources/sqs/options.ts';
import { SqsSource } from '../../router/sources/sqs/source.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { attempt } from '../attempt.ts';
import { silent, startAws } from '../loopback/start-aws.ts';
import { until } from '../until.ts';
import { runPython, servePython } from './tools.ts';

t.test('boto3 publishes, receives what the rule made of it, deletes, and keeps a shadow', async (t) => {
  const { agent, router, cloud } = await startAws(t);
  const { access_key_id: key, secret_access_key: secret } = Object(agent.credentials);
  const payload = Buffer.from([0, 1, 254, 255]);
  const told = await runPython('aws.py', {
    key,
    secret,
    region: agent.region,
    iot: agent.endpoint,
    sqs: router.endpoint,
    queue: router.queue_url,
    ca_file: agent.ca_file,
    messages: [['headgate/gw-1/grün & gut', payload.toString('hex')]],
  });
  t.match(told, [
    { body: { data: payload.toString('base64'), topic: 'headgate/gw-1/grün & gut', gw: ['gw-1'] } },
    { deleted: 1 },
    { version: 1 },
    { desired: { a: 1 } },
    { refused: String },
  ]);
  t.match(cloud.meter(), { accepted: 1, delivered: 1, settled: 1, unsettled: 0 });
});

t.test('moto takes what the agent publishes, and the router empties its queue', async (t) => {
  const region = 'eu-west-1';
  const credentials = { access_key_id: 'AKIATEST', secret_access_key: 'secret' };
  const server = await servePython('moto_cloud.py', { region, key: 'AKIATEST', secret: 'secret' });
  const { endpoint, queue: queue_url } = server.told;
  const deps = { clock: systemClock, entropy: systemEntropy, log: silent };
  const publisher = await openAwsPublisher(awsOptions.parse({ region, endpoint, credentials }), deps);
  const source = new SqsSource('aws', sqsOptions.parse({ region, endpoint, queue_url, credentials }), deps);
  const deliveries: Delivery[] = [];
  const texts = ['one', 'two', '\u0000\ufeff\u00ff', 'x'.repeat(100_000)];
  try {
    for (const text of texts) {
      const properties = { hg: '1', gw: 'gw-1', ep: '1-ab', st: 'vitals', first: '1', last: '1', n: '1' };
      const envelope = { gateway: 'gw-1', stream: 'vitals', bytes: Buffer.from(text), properties };
      t.match(await publisher.publish(envelope, attempt(60_000)), {
        kind: 'accepted',
      });
    }
    await source.start((delivery) => {
      deliveries.push(delivery);
      return Promise.resolve('settle');
    });
    await until('all are delivered', () => deliveries.length >= texts.length);
    t.same(new Set(deliveries.map(({ bytes }) => Buffer.from(bytes).toString())), new Set(texts));
    t.match(source.state(), { connected: true, lastError: null });
  } finally {
    await source.stop();
    await publisher.close();
    t.match(await server.stop(), [{ left: 0 }]);
  }
});
