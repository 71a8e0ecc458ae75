/** boto3 against the loopback AWS. */
import t from 'tap';
import { startAws } from '../loopback/start-aws.ts';
import { runPython } from './tools.ts';

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
