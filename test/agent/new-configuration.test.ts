/**
 * The configuration never owns the buffer: with any change of streams, limits and providers, records
 * acknowledged under the previous configuration are still there, and are delivered or announced as given up
 * (I3). A stream that left the policy drains under its last rules (I4).
 */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import t from 'tap';
import { stringify } from 'yaml';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { type Broker, startBroker } from './providers/mqtt/support.ts';

const ALARMS = { topics: ['plant/+/alarm'] };
const ALL = { topics: ['#'] };

/**
 * Each acknowledged publish, by record id: one device publishes in order, so its n-th of a stream is that
 * epoch's seq n.
 */
type Acknowledged = Map<string, string>;

/** Runs of the agent in one folder, each under a configuration of its own and killed at its end. */
class Lives {
  readonly acknowledged: Acknowledged = new Map();
  readonly #dir: string;
  readonly #ports: readonly [number, number, ...number[]];

  constructor(dir: string, ports: readonly [number, number, ...number[]]) {
    this.#dir = dir;
    this.#ports = ports;
  }

  async live(
    config: object,
    during: (life: { epoch: string; port: number }) => Promise<void>,
  ): Promise<void> {
    const [port, admin] = this.#ports;
    const common = {
      gateway: 'gw-1',
      data_dir: join(this.#dir, 'data'),
      admin: { port: admin },
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port }] },
    };
    writeFileSync(configFile(this.#dir), stringify({ ...common, ...config }));
    const agent = new AgentProcess({ dir: this.#dir }, systemClock);
    try {
      await agent.untilReady();
      await during({ epoch: agent.epoch ?? '', port });
    } finally {
      await agent.kill();
    }
  }

  /** Resolves when all have their PUBACK. */
  async publish(life: { epoch: string; port: number }, stream: string, topic: string, count: number) {
    const device = await connectAsync(`mqtt://127.0.0.1:${life.port}`, { protocolVersion: 4 });
    const sent = Array.from({ length: count }, async (_, i) => {
      const payload = randomBytes(150).toString('hex');
      await device.publishAsync(topic, payload, { qos: 1 });
      this.acknowledged.set(`${life.epoch}/${stream}/${i + 1}`, payload);
    });
    await Promise.all(sent);
    await device.endAsync();
  }
}

t.test('streams, limits and providers change between runs: nothing acknowledged is lost (I3)', async (t) => {
  const [port, admin, nobody] = await fiveFreePorts(systemEntropy);
  const lives = new Lives(testDir(t), [port, admin]);
  const away = (name: string) => ({ name, type: 'mqtt', url: `mqtt://127.0.0.1:${nobody}` });
  const cloud = await startBroker(t);

  await lives.live(
    { providers: [away('first')], policy: { streams: { alarms: ALARMS, telemetry: ALL } } },
    async (life) => {
      await lives.publish(life, 'alarms', 'plant/a/alarm', 30);
      await lives.publish(life, 'telemetry', 'plant/a/temp', 60);
    },
  );
  const first = lives.acknowledged.size;
  await lives.live(
    {
      buffer: { max_bytes: '32MiB', disk_reserve: '0B' },
      providers: [away('other')],
      policy: { streams: { urgent: { ...ALARMS, redundancy: 1, priority: 9 }, rest: ALL } },
    },
    async (life) => {
      await lives.publish(life, 'urgent', 'plant/a/alarm', 30);
      await lives.publish(life, 'rest', 'plant/a/temp', 60);
    },
  );
  // The newly bounded stream gives up the records above its bound; the other streams, in the policy or not,
  // give up nothing.
  const bounded = { ...ALL, max_bytes: '64KiB', when_full: 'evict' };
  await lives.live(
    {
      providers: [away('first'), away('other')],
      policy: { streams: { alarms: { ...ALARMS, durability: { interval: '10ms' } }, telemetry: bounded } },
    },
    (life) => lives.publish(life, 'telemetry', 'plant/a/temp', 300),
  );
  const reachable = { name: 'third', type: 'mqtt', url: `mqtt://127.0.0.1:${cloud.port}` };
  // Two of the four streams left the policy two runs ago, and have rows of two more.
  await lives.live(
    { providers: [reachable], policy: { streams: { alarms: ALARMS, telemetry: bounded } } },
    async () => untilAnswered(cloud, lives.acknowledged),
  );
  const { delivered, isGivenUp } = answered(cloud);
  for (const [id, payload] of delivered)
    if (lives.acknowledged.get(id) !== payload) t.fail(`not sent so: ${id}`);
  const givenUp = [...lives.acknowledged.keys()].filter((id) => isGivenUp(id) && !delivered.has(id));
  t.ok(givenUp.length > 0, `${givenUp.length} of ${lives.acknowledged.size} given up, and said so`);
  t.ok(
    givenUp.every((id) => id.includes('/telemetry/')),
    'of the bounded stream alone',
  );
  t.ok(
    [...delivered.keys()].some((id) => id.includes('/telemetry/')),
    'what fits its bound is kept',
  );
  t.ok(delivered.size >= first, `${delivered.size} delivered`);
});

/** The records that reached the cloud: payloads by record id, and the ranges announced as given up. */
function answered({ published }: Broker) {
  const delivered = new Map<string, string>();
  const ranges: Array<{ key: string; first: number; last: number }> = [];
  for (const { topic, payload } of published) {
    if (!topic.startsWith('headgate/')) continue;
    const { epoch, stream, records, gaps } = decodeEnvelope(payload);
    const key = `${epoch}/${stream}`;
    for (const { seq, payload } of records) delivered.set(`${key}/${seq}`, Buffer.from(payload).toString());
    for (const { first, last } of gaps) ranges.push({ key, first, last });
  }
  const isGivenUp = (id: string): boolean => {
    const at = id.lastIndexOf('/');
    const seq = Number(id.slice(at + 1));
    return ranges.some(({ key, first, last }) => key === id.slice(0, at) && first <= seq && seq <= last);
  };
  return { delivered, isGivenUp };
}

async function untilAnswered(cloud: Broker, acknowledged: Acknowledged): Promise<void> {
  await until('each acknowledged record is delivered or announced', () => {
    const { delivered, isGivenUp } = answered(cloud);
    return [...acknowledged.keys()].every((id) => delivered.has(id) || isGivenUp(id));
  });
}
