import t from 'tap';
import { receiptsSchema } from '../../../router/receipts/options.ts';

const aws = {
  type: 'aws',
  name: 'shadow',
  region: 'eu-west-1',
  endpoint: 'https://x.iot.eu-west-1.amazonaws.com',
};

t.test('clouds that carry receipts have their pace, and names that differ', async (t) => {
  t.same(receiptsSchema.parse(undefined), { interval: 1000, unsigned_copy: true, through: [] });
  const gcp = { type: 'gcp', name: 'pubsub', project: 'p' };
  const connection_string = 'HostName=h;SharedAccessKeyName=service;SharedAccessKey=aw==';
  const azure = { type: 'azure', name: 'twin', credentials: { connection_string } };
  t.match(receiptsSchema.parse({ through: [aws, gcp, azure] }), {
    through: [
      { shadow: 'headgate', interval: 30_000 },
      { topic: 'headgate-receipts', interval: 30_000 },
      { credentials: { connection_string }, interval: 30_000 },
    ],
  });
  for (const through of [
    [aws, aws],
    [{ ...aws, interval: '100ms' }],
    [{ ...gcp, interval: '5m' }],
    [{ type: 'https' }],
    [{ ...azure, credentials: { connection_string: 'HostName=h' } }],
  ])
    t.notOk(receiptsSchema.safeParse({ through }).success, JSON.stringify(through));
});
