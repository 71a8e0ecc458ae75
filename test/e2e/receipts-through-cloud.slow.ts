/**
 * A gateway that reaches one cloud and no router: its only way back is that cloud too. Real agent and router,
 * each in a process of its own, the vendor's SDK on both sides.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { z } from 'zod';
import { systemClock } from '../../shared/clock.ts';
import { makeReceiptTopic, SUBSCRIPTION, TOPIC } from '../agent/downlink/subscription-support.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { startAzure } from '../loopback/azure-fixture.ts';
import { startGcp } from '../loopback/gcp-support.ts';
import { freePort } from '../servers/free-port.ts';
import { routerProcess } from '../servers/router-process.ts';
import { until } from '../until.ts';

const READINGS = 30;
const statusSchema = z.object({ buffer: z.object({ rows: z.number() }) });

interface Setup {
  provider: object;
  downlink: object;
  source: object;
  through: object;
}

/**
 * A record that a cloud took stays in the buffer until a router has read it there and a receipt has come
 * back.
 */
async function rowsLeaveWithTheReceipt(t: Test, directory: string, setup: Setup): Promise<void> {
  const dir = join(directory, 'agent');
  mkdirSync(dir);
  const ports = { broker: await freePort(), admin: await freePort() };
  const config = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    admin: { port: ports.admin },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', port: ports.broker }] },
    providers: [setup.provider],
    downlinks: [setup.downlink],
    policy: { streams: { telemetry: { topics: ['#'], until: 'receipt' } } },
  };
  writeFileSync(configFile(dir), stringify(config));
  const agent = new AgentProcess({ dir }, systemClock);
  t.teardown(() => agent.kill());
  await agent.untilReady();
  const admin = `http://127.0.0.1:${ports.admin}`;
  const rows = async (): Promise<number> =>
    statusSchema.parse(await (await fetch(`${admin}/v1/status`)).json()).buffer.rows;
  const awaiting = async (): Promise<string | undefined> =>
    /^headgate_agent_stream_awaiting_receipt_records\{.*\} (\d+)$/m.exec(
      await (await fetch(`${admin}/metrics`)).text(),
    )?.[1];

  const device = await connectAsync(`mqtt://127.0.0.1:${ports.broker}`, { protocolVersion: 4 });
  const publishes = Array.from({ length: READINGS }, (_, i) =>
    device.publishAsync('plant/a', `${i}`, { qos: 1 }),
  );
  await Promise.all(publishes);
  await device.endAsync();
  await until('the cloud took all', async () => (await awaiting()) === String(READINGS));
  t.equal(await rows(), READINGS, 'the cloud took them, and they are kept');

  const router = await routerProcess(join(directory, 'router'), {
    sources: [setup.source],
    receipts: { through: [{ interval: '1s', ...setup.through }] },
  });
  t.teardown(() => router.kill());
  await router.start();
  await until('the rows are freed', async () => (await rows()) === 0);
  t.equal(await router.stop(), 0);
}

t.test(
  'rows of a stream that waits for receipts leave the buffer when Pub/Sub brought one (I3)',
  async (t) => {
    const { agent, router, directory } = await startGcp(t);
    await makeReceiptTopic(t, router, 'attributes.gateway="gw-1"');
    const { topic: _topic, region: _region, next_credentials: _next, ...access } = agent;
    const { subscription: _subscription, ...project } = router;
    await rowsLeaveWithTheReceipt(t, directory, {
      provider: { type: 'gcp', name: 'gcp', ...agent },
      downlink: { type: 'gcp', name: 'pubsub', subscription: SUBSCRIPTION, ...access },
      source: { type: 'gcp', name: 'gcp', ...router },
      through: { type: 'gcp', name: 'pubsub', topic: TOPIC, ...project },
    });
  },
);

t.test('… and when the device’s twin did (I3)', async (t) => {
  const { cloud, caFile } = await startAzure(t);
  await rowsLeaveWithTheReceipt(t, dirname(caFile), {
    provider: cloud.agentConfig('gw-1'),
    downlink: { type: 'azure', name: 'twin', provider: 'azure' },
    source: cloud.routerConfig(),
    through: cloud.twinConfig(),
  });
});
