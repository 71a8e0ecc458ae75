/**
 * Receipts between versions with real programs, in the steps of docs/how-to/keys.md: a new agent with an old
 * router, an old agent with a new router, and the way to signed receipts alone.
 *
 * An old router is what it did: it takes version 1 alone, and its receipts are not signed. An old agent is
 * the bytes that it wrote, and its reader of a receipt.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { connectAsync } from 'mqtt';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { createCertificateAuthority } from '../../loopback/ca.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { receiptJson } from '../../shared/receipt.ts';
import { Router as OldRules } from '../agent/forward/receipts-fixture.ts';
import type { Program } from '../attack/world/program.ts';
import { headgate, ROOT } from '../cli/run.ts';
import { freePort } from '../servers/free-port.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { restartedPrograms } from './restarted-programs.ts';

const VECTORS: { title: string; hex: string }[] = JSON.parse(
  readFileSync(join(ROOT, 'test/shared/envelope/vectors.json'), 'utf8'),
);
const OLD = Buffer.from(
  VECTORS.find(({ title }) => title === 'one record, not compressed')?.hex ?? '',
  'hex',
);
const PAGE = readFileSync(join(ROOT, 'docs/how-to/keys.md'), 'utf8');

/** As agents before 0.2.0 read an answer: other members do not count. */
const oldAnswer = z.object({
  receipt: z.object({
    v: z.literal(1),
    gateway: z.string(),
    version: z.int().min(1),
    streams: z.array(
      z.object({
        epoch: z.string(),
        stream: z.string(),
        to: z.int(),
        missing: z.array(z.tuple([z.int(), z.int()])),
        given_up: z.array(z.tuple([z.int(), z.int()])),
        sealed_at: z.int().nullable(),
      }),
    ),
  }),
});
const buffered = z.object({ buffer: z.object({ rows: z.number() }) });

interface Files {
  ca: string;
  cert: string;
  key: string;
}

/** Takes envelopes of version 1, by the router's rules, and answers each poll with an unsigned receipt. */
async function startOldRouter(port: number, tls: { cert: string; key: string }) {
  const rules = new OldRules();
  const versions: number[] = [];
  const server = createServer(tls, async (asked, answer) => {
    if (asked.method === 'GET') {
      const body = JSON.stringify({ receipt: receiptJson(rules.receipt()) });
      answer.writeHead(200, { 'content-type': 'application/json' }).end(body);
      return;
    }
    const bytes = await buffer(asked);
    versions.push(bytes.readUInt8(2));
    if (bytes[2] === 1) rules.take(decodeEnvelope(bytes));
    answer.writeHead(bytes[2] === 1 ? 200 : 422).end('{}');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { versions, stop };
}

async function createPlace(t: Test) {
  const dir = testDir(t);
  const ca = await createCertificateAuthority(clock, entropy);
  const write = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content, { mode: 0o600 });
    return join(dir, name);
  };
  const [server, client] = [await ca.issue('localhost', 'server'), await ca.issue('gw-1', 'client')];
  const caFile = write('ca.pem', ca.ca);
  const files = {
    server: { cert_file: write('server.crt', server.cert), key_file: write('server.key', server.key) },
    client: { cert_file: write('client.crt', client.cert), key_file: write('client.key', client.key) },
  };
  const port = await freePort();
  const brokerPort = await freePort();
  const { start, stop } = restartedPrograms(t, dir);
  const url = `https://localhost:${port}`;
  const access = { type: 'https', name: 'router', url, ca_file: caFile, ...files.client };
  const agent = (rest: object = {}): Promise<Program> =>
    start('agent', {
      gateway: 'gw-1',
      broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: brokerPort }] },
      providers: [access],
      downlinks: [access],
      policy: { streams: { telemetry: { topics: ['#'], until: 'receipt' } } },
      ...rest,
    });
  const router = async (rest: object = {}): Promise<Program> => {
    const source = { name: 'router', type: 'https', port, client_ca_file: caFile, ...files.server };
    const program = await start('router', { sources: [source], ...rest });
    await until('the router listens', () => fetch(`${program.url}/readyz`).then(({ ok }) => ok));
    return program;
  };
  const publish = async (): Promise<void> => {
    const device = await connectAsync(`mqtt://127.0.0.1:${brokerPort}`, { clientId: 'pump' });
    await device.publishAsync('plant/pump/bar', '4.2', { qos: 1 });
    await device.endAsync();
  };
  const tls: Files = { ca: ca.ca, cert: client.cert, key: client.key };
  const ask = async (method: string, path: string, body?: Buffer) => {
    const sent = request(`${url}${path}`, { method, ...tls });
    sent.end(body);
    const [answer] = await once(sent, 'response');
    return { status: Number(answer.statusCode), body: JSON.parse((await text(answer)) || '{}') };
  };
  return { dir, port, server, agent, router, publish, ask, stopRouter: () => stop('router') };
}

const rowsOf = async (agent: Program): Promise<number> =>
  buffered.parse(await agent.ask('/v1/status')).buffer.rows;
const freed = (agent: Program): Promise<unknown> =>
  until('the rows are freed', async () => (await rowsOf(agent)) === 0);
const unverified = (agent: Program, cause: string): Promise<number> =>
  agent.metric('headgate_agent_receipts_unverified_total', `cause="${cause}"`);
const logOf = ({ dir, kind }: Program): string => readFileSync(join(dir, `${kind}.stdout`), 'utf8');

t.test('receipts from any to signed, and nothing breaks on the way', async (t) => {
  const { dir, port, server, agent, router, publish, ask, stopRouter } = await createPlace(t);

  // A new agent with the configuration of before, and an old router.
  const old = await startOldRouter(port, server);
  const first = await agent();
  await publish();
  await until('the old router took it', () => old.versions.length > 0);
  await freed(first);
  t.same(new Set(old.versions), new Set([1]), 'version 1 alone');
  t.match(logOf(first), /"event":"receipts\.accepts_unsigned"/, 'a warning says so');
  t.equal(await first.metric('headgate_agent_receipts_accept_unsigned'), 1);
  t.ok((await unverified(first, 'unsigned')) > 0, 'and a metric counts');
  await old.stop();

  // A new router with the configuration of before, and an old agent beside the new one.
  const second = await router();
  t.equal((await ask('POST', '/v1/envelopes', OLD)).status, 200);
  const { gateway, epoch, stream } = decodeEnvelope(OLD);
  const answer = await ask('GET', `/v1/gateways/${gateway}/downlink?after=0&wait=1`);
  const { receipt } = oldAnswer.parse(answer.body);
  t.match(receipt, { gateway, streams: [{ epoch, stream, missing: [] }] }, 'an old agent can read it');
  t.ok(answer.body.signed, 'and a new one can verify it');
  t.match(logOf(second), /"event":"source\.accepts_unsigned"/);
  t.ok((await second.metric('headgate_router_unverified_total', 'cause="unsigned"')) > 0);
  await publish();
  await freed(first);
  t.ok((await unverified(first, 'unknown-key')) > 0, 'the router’s key is not known yet');

  // The router's key is known: signed ones alone, and the old copy is left out.
  const command = 'headgate keys export --config router.yaml';
  t.ok(PAGE.includes(command), 'the page has the command');
  const { stdout } = await headgate(command.replace('router.yaml', second.configFile).split(' ').slice(1));
  const keysFile = join(dir, 'router-keys.pem');
  writeFileSync(keysFile, stdout);
  const trust = { receipts: { accept: 'signed', router_keys_file: keysFile } };
  const third = await agent(trust);
  await publish();
  await freed(third);
  t.equal(await third.metric('headgate_agent_receipts_accept_unsigned'), 0);
  t.equal(await third.metric('headgate_agent_receipts_unverified_total'), 0, 'the metric stands still');
  const last = await router({ receipts: { unsigned_copy: false } });
  t.equal((await ask('GET', `/v1/gateways/${gateway}/downlink?after=0&wait=1`)).body.receipt, null);
  await publish();
  await freed(third);
  t.ok((await last.metric('headgate_router_records_total')) > 0);

  // Back to the old router by mistake: it frees nothing, and nothing is lost.
  await stopRouter();
  const wrong = await startOldRouter(port, server);
  await publish();
  await until(
    'its receipt is refused',
    async () => (await third.metric('headgate_agent_receipts_total', 'result="unsigned"')) > 0,
  );
  await until('it took the record', () => wrong.versions.length > 0);
  t.equal(await rowsOf(third), 1, 'kept');
  t.match(logOf(third), /"event":"downlink\.unverified"/);
  await wrong.stop();
  await router();
  await freed(third);
});
