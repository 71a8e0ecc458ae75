import t from 'tap';
import { receiptsSchema } from '../../../router/receipts/options.ts';

const aws = {
  type: 'aws',
  name: 'shadow',
  region: 'eu-west-1',
  endpoint: 'https://x.iot.eu-west-1.amazonaws.com',
};

t.test('clouds that carry receipts have their pace, and names that differ', async (t) => {
  t.same(receiptsSchema.parse(undefined), { interval: 1000, through: [] });
  const gcp = { type: 'gcp', name: 'pubsub', project: 'p' };
  t.match(receiptsSchema.parse({ through: [aws, gcp] }), {
    through: [
      { shadow: 'headgate', interval: 30_000 },
      { topic: 'headgate-receipts', interval: 30_000 },
    ],
  });
  for (const through of [
    [aws, aws],
    [{ ...aws, interval: '100ms' }],
    [{ ...gcp, interval: '5m' }],
    [{ type: 'https' }],
  ])
    t.notOk(receiptsSchema.safeParse({ through }).success, JSON.stringify(through));
});
