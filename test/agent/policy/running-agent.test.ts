/**
 * A real agent takes another policy at SIGHUP and when the policy's file changes, without a restart: devices
 * stay connected, records in the buffer leave under the rules that they came under (I3, I4).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { stringify } from 'yaml';
import { decodeEnvelope } from '../../../shared/envelope/codec.ts';
import { until } from '../../until.ts';
import { gateway, policiesUnderTraffic, received } from './gateway.ts';

const REST = { rest: { topics: ['#'] } };
const ZONES = { compliance: { data_residency: { north: ['north-1'] }, own_regions: ['north-1', 'south-1'] } };

const numbered = (count: number, prefix: string): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);

t.test(
  'a stream leaves the policy with records that wait: it drains where it might go, over kills',
  async (t) => {
    const { one, north, south } = await gateway(t);
    one.write({
      version: 1,
      ...ZONES,
      streams: { pumps: { topics: ['pumps/#'], data_residency: 'north' }, ...REST },
    });
    await north.down();
    await one.start();
    const device = await one.device();
    await Promise.all(numbered(20, 'p').map((text) => device.publishAsync('pumps/1', text, { qos: 1 })));
    t.match((await one.status()).policy, { version: 1, draining: [], refused: null });

    const { compliance: _, ...without } = ZONES;
    one.write({ version: 2, ...without, streams: REST });
    one.hangUp();
    await one.untilVersion(2);
    t.ok(device.connected, 'the device stays');
    await device.publishAsync('pumps/1', 'after', { qos: 1 });
    await until(
      'the topic has its new stream',
      () => received(south).get('rest')?.includes('after') === true,
    );
    t.strictSame((await one.status()).policy?.draining, ['pumps']);
    t.match(JSON.parse(readFileSync(one.rulesFile, 'utf8')).streams.pumps, { regions: ['north-1'] });

    await device.endAsync(true);
    await one.kill();
    await one.start();
    t.match((await one.status()).policy, { version: 2, draining: ['pumps'] });
    t.notOk(received(south).has('pumps'), 'no other region gets it (I4)');
    await north.up();
    await until('all arrive where they may', () => (received(north).get('pumps')?.length ?? 0) >= 20);
    t.strictSame(new Set(received(north).get('pumps')), new Set(numbered(20, 'p')));
    t.notOk(received(south).has('pumps'));
    await until('nothing of it is left', async () => (await one.status()).policy?.draining.length === 0);

    await until('its end is told', () =>
      north.published.some(({ topic, payload }) => {
        if (!topic.startsWith('headgate/')) return false;
        const { stream, sealedAt } = decodeEnvelope(payload);
        return stream === 'pumps' && sealedAt === 20;
      }),
    );
    await one.stop();
    await one.start();
    t.notMatch(JSON.parse(readFileSync(one.rulesFile, 'utf8')).streams, { pumps: {} }, 'and it is forgotten');
  },
);

t.test('a stream that left while the agent was down drains under its last rules too', async (t) => {
  const { one, north, south } = await gateway(t);
  const pumps = { topics: ['pumps/#'], data_residency: 'north', redundancy: 1, durability: 'fsync' };
  one.write({ version: 1, ...ZONES, streams: { pumps, ...REST } });
  await north.down();
  await one.start();
  const device = await one.device();
  await Promise.all(numbered(20, 'p').map((text) => device.publishAsync('pumps/1', text, { qos: 1 })));
  await device.endAsync(true);
  await one.kill();
  one.write({ version: 2, streams: REST });
  await one.start();
  t.match((await one.status()).policy, { version: 2, draining: ['pumps'] });
  t.ok(one.lines.some(({ event, stream }) => event === 'policy.draining' && stream === 'pumps'));
  await north.up();
  await until('all arrive where they may', () => (received(north).get('pumps')?.length ?? 0) >= 20);
  t.notOk(received(south).has('pumps'), 'no other region gets it (I4)');
});

t.test('the changed file of the policy is enough; a mistake in it changes nothing and is told', async (t) => {
  const { one, north, south } = await gateway(t);
  one.write({ version: 1, ...ZONES, streams: REST });
  await one.start();
  const device = await one.device();
  writeFileSync(
    one.policyFile,
    stringify({ version: 2, ...ZONES, streams: { hot: { topics: ['hot'] }, ...REST } }),
  );
  await one.untilVersion(2);
  await device.publishAsync('hot', 'now', { qos: 1 });
  const hasStream = () =>
    [north, south].some((cloud) => received(cloud).get('hot')?.includes('now') === true);
  await until('it has its stream', hasStream);

  writeFileSync(
    one.policyFile,
    stringify({ version: 3, streams: { rest: { topics: ['#'], redundancy: 'two' } } }),
  );
  await until('it is told', async () => (await one.status()).policy?.refused !== null);
  const { policy } = await one.status();
  t.match(policy, { version: 2, refused: { problem: /policy\.yaml:.*streams\.rest\.redundancy/s } });
  await device.publishAsync('hot', 'still', { qos: 1 });
  t.ok(device.connected);

  one.write({ version: 4, ...ZONES, streams: REST }, { log: { level: 'warn' } });
  one.hangUp();
  await one.untilVersion(4);
  t.equal((await one.status()).policy?.refused, null);
  t.match(
    one.lines.filter(({ event }) => event === 'policy.restart_needed').at(-1),
    { sections: ['log'] },
    'what needs a restart is named',
  );
  await device.endAsync(true);
});

t.test('forty policies under traffic: no connection ends, nothing is lost or doubled', (t) =>
  policiesUnderTraffic(t, 40),
);
