import t from 'tap';
import { downlinkSchema } from '../../../agent/downlink/types.ts';

const aws = {
  type: 'aws',
  name: 'shadow',
  region: 'eu-west-1',
  endpoint: 'https://x.iot.eu-west-1.amazonaws.com',
};

t.test('each way has its own options and defaults', async (t) => {
  t.match(downlinkSchema.parse(aws), { shadow: 'headgate', interval: 60_000 });
  t.match(downlinkSchema.parse({ type: 'gcp', name: 'pubsub', project: 'p', subscription: 's' }), {
    insecure: false,
  });
  const azure = { type: 'azure', name: 'twin', provider: 'azure-eu' };
  t.same(downlinkSchema.parse(azure), azure);
  const https = { type: 'https', name: 'router', url: 'https://router.example' };
  t.match(downlinkSchema.parse({ ...https, token_key_file: '/k' }), { audience: 'headgate' });
  for (const wrong of [
    https,
    { type: 'gcp', name: 'pubsub', project: 'p' },
    { ...aws, endpoint: 'http://x' },
    { ...aws, shadow: 'a/b' },
    { ...aws, interval: '5m' },
    { ...aws, type: 'carrier-pigeon' },
    { ...azure, provider: undefined },
    { ...azure, credentials: {} },
  ])
    t.notOk(downlinkSchema.safeParse(wrong).success, JSON.stringify(wrong));
});
