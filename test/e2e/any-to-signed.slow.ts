/**
 * From `any` to `signed` with real programs, in the steps of docs/how-to/keys.md: agents that do not sign and
 * new routers go on working, and so do new agents with routers that know version 1 alone.
 *
 * An old agent is the bytes that it wrote: version 1 is closed, and its vectors are of before version 2. An
 * old router is its first check: the third byte is 1.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { encodeEnvelope } from '../../shared/envelope/codec.ts';
import type { Program } from '../attack/world/program.ts';
import { headgate, ROOT } from '../cli/run.ts';
import { envelope } from '../router/ledger/envelopes.ts';
import { freePort } from '../servers/free-port.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { restartedPrograms } from './restarted-programs.ts';

const VECTORS: { title: string; hex: string }[] = JSON.parse(
  readFileSync(join(ROOT, 'test/shared/envelope/vectors.json'), 'utf8'),
);
const OLD = VECTORS.find(({ title }) => title === 'one record, not compressed');
const PAGE = readFileSync(join(ROOT, 'docs/how-to/keys.md'), 'utf8');

/** A broker in this process, as the cloud between the two; `versions`: of the envelopes, in their order. */
async function startCloud(t: Test) {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    aedes.handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const versions: number[] = [];
  aedes.on('publish', ({ topic, payload }) => {
    if (topic.startsWith('headgate/')) versions.push(Buffer.from(payload).readUInt8(2));
  });
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await new Promise<void>((resolve) => aedes.close(resolve));
  });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const send = async (bytes: Uint8Array): Promise<void> => {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'somebody' });
    await client.publishAsync('headgate/gw-1/telemetry', Buffer.from(bytes), { qos: 1 });
    await client.endAsync();
  };
  return { entry: { name: 'cloud', type: 'mqtt', url: `mqtt://127.0.0.1:${port}` }, versions, send };
}

t.test('from any to signed, and nothing breaks on the way', async (t) => {
  const dir = testDir(t);
  const cloud = await startCloud(t);
  const { start } = restartedPrograms(t, dir);
  const router = async (source: object = {}, rest: object = {}): Promise<Program> => {
    const sources = [{ ...cloud.entry, topic_authenticated: true, ...source }];
    const program = await start('router', { sources, ...rest });
    await until('the router is connected', () => fetch(`${program.url}/readyz`).then(({ ok }) => ok));
    return program;
  };
  const brokerPort = await freePort();
  const agent = (rest: object = {}): Promise<Program> =>
    start('agent', {
      gateway: 'gw-1',
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: brokerPort }] },
      providers: [cloud.entry],
      policy: { streams: { telemetry: { topics: ['#'] } } },
      ...rest,
    });
  const publish = async (payload: string): Promise<void> => {
    const device = await connectAsync(`mqtt://127.0.0.1:${brokerPort}`, { clientId: 'pump' });
    await device.publishAsync('plant/pump/bar', payload, { qos: 1 });
    await device.endAsync();
  };
  const arrived = (program: Program, records: number): Promise<unknown> =>
    until(
      `${records} records`,
      async () => (await program.metric('headgate_router_records_total')) >= records,
    );
  const letters = (program: Program, count: number): Promise<unknown> =>
    until(
      `${count} letters`,
      async () => (await program.metric('headgate_router_dead_letters_total', 'reason="unsigned"')) >= count,
    );
  const unverified = (program: Program): Promise<number> =>
    program.metric('headgate_router_unverified_total');
  const logOf = ({ kind }: Program): string => readFileSync(join(dir, kind, `${kind}.stdout`), 'utf8');

  // 1. The routers first: a new one with the configuration of before, and an old agent.
  const first = await router();
  await cloud.send(Buffer.from(OLD?.hex ?? '', 'hex'));
  await arrived(first, 1);
  t.equal(await unverified(first), 1, 'a metric counts it');
  t.equal(await first.metric('headgate_router_source_accepts_unsigned'), 1);
  t.match(logOf(first), /"event":"source\.accepts_unsigned"/, 'and a warning says so');

  // 2. The agents: a new one with the configuration of before writes what an old router reads.
  const quiet = await agent();
  await publish('a');
  await arrived(first, 2);
  t.match(logOf(quiet), /"event":"keys\.unsigned"/);
  t.same(new Set(cloud.versions), new Set([1]), 'version 1, heartbeats too');
  t.ok((await unverified(first)) >= 2);

  // 3. The keys are registered, 4. the agents sign.
  const command = 'headgate keys export --config agent.yaml';
  t.ok(PAGE.includes(command), 'the page has the command');
  const words = command.replace('agent.yaml', quiet.configFile).split(' ').slice(1);
  const { stdout } = await headgate(words);
  const gatewaysFile = join(dir, 'gateways.yaml');
  writeFileSync(gatewaysFile, stdout);
  await quiet.stop();
  const second = await router({}, { gateways_file: gatewaysFile });
  cloud.versions.length = 0;
  await agent({ signing: { envelopes: true } });
  await publish('b');
  await arrived(second, 1);
  t.same(new Set(cloud.versions), new Set([2]), 'what an old router keeps as a dead letter, `version`');
  t.equal(await unverified(second), 0, '5. the metric stands still');

  // 6. The gateway is through.
  const listed: { gateways: Record<string, object> } = parse(stdout);
  const signed = { 'gw-1': { ...listed.gateways['gw-1'], accept: 'signed' } };
  writeFileSync(gatewaysFile, stringify({ gateways: signed }));
  const third = await router({ accept: 'any' }, { gateways_file: gatewaysFile });
  const forged = encodeEnvelope(envelope({ epoch: '9-ffffffff', seqs: [1], text: 'forged' }));
  await cloud.send(forged);
  await letters(third, 1);
  await publish('c');
  await arrived(third, 1);

  // 7. So are all gateways.
  const last = await router({ accept: 'signed' }, { gateways_file: gatewaysFile });
  t.equal(await last.metric('headgate_router_source_accepts_unsigned'), 0);
  await publish('d');
  await arrived(last, 1);
  await cloud.send(forged);
  await letters(last, 1);
  t.equal(await last.metric('headgate_router_records_total'), 1, 'and nothing else came in');
});
