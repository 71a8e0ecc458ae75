/**
 * A gateway that reaches one cloud and no router: its only way back is that cloud too. Real agent and router,
 * each in a process of its own, the vendor's SDK on both sides.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { z } from 'zod';
import { ReceiptForm } from '../../router/receipts/form.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { signerOf } from '../../shared/signing/signature.ts';
import { TWIN_RECEIPT, twinPieces } from '../../shared/twin-receipt.ts';
import { makeReceiptTopic, SUBSCRIPTION, TOPIC } from '../agent/downlink/subscription-support.ts';
import { AgentProcess, configFile } from '../crash/agent-process.ts';
import { startAzure } from '../loopback/azure-fixture.ts';
import { startGcp } from '../loopback/gcp-support.ts';
import { freePort } from '../servers/free-port.ts';
import { routerProcess } from '../servers/router-process.ts';
import { until } from '../until.ts';

const READINGS = 30;
const statusSchema = z.object({ epoch: z.string(), buffer: z.object({ rows: z.number() }) });

interface Setup {
  provider: object;
  downlink: object;
  source: object;
  through: object;
  /** Somebody else writes where the router's receipts come. */
  put(text: string): Promise<void>;
}

/** A receipt of all readings, in the form that this key makes. */
function receiptBy(key: KeyObject, epoch: string): string {
  const stream = { epoch, stream: 'telemetry', to: READINGS, missing: [], givenUp: [], givenUpFrom: 1 };
  const receipt = { gateway: 'gw-1', version: 1, streams: [{ ...stream, sealedAt: null }] };
  return new ReceiptForm({ signer: signerOf(key), unsignedCopy: true }).text(receipt);
}

/**
 * A record that a cloud took stays in the buffer until a router has read it there and a receipt of it has
 * come back, whatever others write.
 */
async function rowsLeaveWithTheReceipt(t: Test, directory: string, setup: Setup): Promise<void> {
  const dir = join(directory, 'agent');
  mkdirSync(dir);
  const ports = { broker: await freePort(), admin: await freePort() };
  const routerKey = newPrivateKey(systemEntropy);
  const [key_file, router_keys_file] = [join(dir, 'router.key'), join(dir, 'router-keys.pem')];
  writeFileSync(key_file, routerKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(router_keys_file, createPublicKey(routerKey).export({ type: 'spki', format: 'pem' }));
  const config = {
    gateway: 'gw-1',
    data_dir: join(dir, 'data'),
    receipts: { accept: 'signed', router_keys_file },
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
  const status = async () => statusSchema.parse(await (await fetch(`${admin}/v1/status`)).json());
  const rows = async (): Promise<number> => (await status()).buffer.rows;
  const metric = async (name: string): Promise<string | undefined> =>
    new RegExp(`^headgate_agent_${name}.* (\\d+)$`, 'm').exec(
      await (await fetch(`${admin}/metrics`)).text(),
    )?.[1];
  const awaiting = () => metric('stream_awaiting_receipt_records');

  const device = await connectAsync(`mqtt://127.0.0.1:${ports.broker}`, { protocolVersion: 4 });
  const publishes = Array.from({ length: READINGS }, (_, i) =>
    device.publishAsync('plant/a', `${i}`, { qos: 1 }),
  );
  await Promise.all(publishes);
  await device.endAsync();
  await until('the cloud took all', async () => (await awaiting()) === String(READINGS));
  t.equal(await rows(), READINGS, 'the cloud took them, and they are kept');
  await setup.put(receiptBy(newPrivateKey(systemEntropy), (await status()).epoch));
  const dropped = 'receipts_total{result="unknown-key"}';
  await until('the forged receipt came', async () => (await metric(dropped)) === '1');
  t.equal(await rows(), READINGS, 'a forged receipt frees nothing');

  const router = await routerProcess(join(directory, 'router'), {
    sources: [setup.source],
    signing: { key_file },
    receipts: { unsigned_copy: false, through: [{ interval: '1s', ...setup.through }] },
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
    const pubsub = await makeReceiptTopic(t, router, 'attributes.gateway="gw-1"');
    const { topic: _topic, region: _region, next_credentials: _next, ...access } = agent;
    const { subscription: _subscription, ...project } = router;
    await rowsLeaveWithTheReceipt(t, directory, {
      provider: { type: 'gcp', name: 'gcp', ...agent },
      downlink: { type: 'gcp', name: 'pubsub', subscription: SUBSCRIPTION, ...access },
      source: { type: 'gcp', name: 'gcp', ...router },
      through: { type: 'gcp', name: 'pubsub', topic: TOPIC, ...project },
      put: async (text) => {
        const attributes = { gateway: 'gw-1' };
        await pubsub.topic(TOPIC).publishMessage({ data: Buffer.from(text), attributes });
      },
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
    put: async (text) => cloud.patchDesired('gw-1', { [TWIN_RECEIPT]: twinPieces(text) }),
  });
});
