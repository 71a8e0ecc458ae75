/** `config check --connect` of the router's entries that the loopback clouds' files lack. */
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { feedConnectCheck, feedSchema } from '../../router/feeds/open.ts';
import { ledgerConnectCheck } from '../../router/ledger/connect-check.ts';
import { openLedger } from '../../router/ledger/open.ts';
import { carrierConnectCheck } from '../../router/receipts/connect-check.ts';
import { receiptsSchema } from '../../router/receipts/options.ts';
import { mqttSourceOptions } from '../../router/sources/mqtt/options.ts';
import { MqttSource } from '../../router/sources/mqtt/source.ts';
import { sourceConnectCheck, sourceSchema } from '../../router/sources/open.ts';
import { scrub } from '../../shared/config/redact.ts';
import { type CheckedEntry, type CheckedPart, runPhases } from '../../shared/connect-check/phases.ts';
import { startBroker } from '../agent/providers/mqtt/support.ts';
import { ForwardClock } from '../forward-clock.ts';
import { startAzure } from '../loopback/azure-fixture.ts';
import { deps, startGcp } from '../loopback/gcp-support.ts';
import { startAws } from '../loopback/start-aws.ts';
import { silentServer } from '../silent-server.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { startApi } from './sources/https/support.ts';

const { clock, log } = deps;
const SECRET = 'a-secret-of-the-test';

async function checked(check: CheckedPart['check']): Promise<CheckedEntry> {
  const part = { entry: 'one', type: 'any', check };
  return runPhases(part, { clock, onPhase: () => undefined, clean: (text) => scrub(text, [SECRET]) });
}

const ofSource = (entry: object) => checked(() => sourceConnectCheck(sourceSchema.parse(entry), deps));
const ofFeed = (entry: object) => checked(() => feedConnectCheck(feedSchema.parse(entry), deps));
const ofCarrier = (entry: object) => {
  const [through] = receiptsSchema.parse({ through: [entry] }).through;
  if (!through) throw new Error('no carrier');
  return checked(() => carrierConnectCheck(through, deps));
};

function names({ passed }: CheckedEntry): string {
  return passed.map(({ phase }) => phase).join(' ');
}

t.test('receipts through a shadow: the right to write is asked for, and nothing is written', async (t) => {
  const { agent } = await startAws(t);
  const { endpoint, region, ca_file, credentials } = agent;
  const shadow = { name: 'aws', type: 'aws', endpoint, region, ca_file, credentials };
  const asked = await ofCarrier(shadow);
  t.equal(names(asked), 'resolve connect tls login write', JSON.stringify(asked.problem));
  const unknown = { access_key_id: 'AKIAUNKNOWN', secret_access_key: SECRET };
  const refused = await ofCarrier({ ...shadow, credentials: unknown });
  t.match(refused.problem, { phase: 'write', option: 'one.credentials', message: /^HTTP 403/ });
});

t.test('receipts through a twin: likewise', async (t) => {
  const { cloud } = await startAzure(t);
  const twin = cloud.twinConfig();
  t.equal(names(await ofCarrier(twin)), 'resolve connect tls login');
  cloud.setBasicTier(true);
  t.match((await ofCarrier(twin)).problem, { message: /^HTTP 403/, fix: /basic tier/ });
});

t.test('receipts through a topic: likewise', async (t) => {
  const { endpoint, project, ca_file, credentials } = (await startGcp(t)).agent;
  const topic = { name: 'gcp', type: 'gcp', endpoint, project, ca_file, credentials };
  t.equal(names(await ofCarrier({ ...topic, topic: 'headgate' })), 'resolve connect tls write');
  const missing = await ofCarrier({ ...topic, topic: 'nowhere' });
  t.match(missing.problem, { phase: 'write', option: 'one.topic', message: /NOT_FOUND/ });
});

t.test('an MQTT source: the session of the running router stays', async (t) => {
  const broker = await startBroker(t);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const source = new MqttSource('mqtt', mqttSourceOptions.parse({ url }), deps);
  t.teardown(() => source.stop());
  const seen: string[] = [];
  await source.start(async ({ bytes }) => {
    seen.push(Buffer.from(bytes).toString());
    return 'settle';
  });
  await until('the router is connected', () => source.state().connected);
  const result = await ofSource({ name: 'mqtt', type: 'mqtt', url });
  t.equal(names(result), 'resolve connect login read', JSON.stringify(result.problem));
  await broker.publish('headgate/gw-1/telemetry', 'after the check');
  await until('the router reads on', () => seen.includes('after the check'));
  t.match(source.state(), { connected: true, lastError: null, cuts: 0 });
  broker.refuse(4);
  const refused = await ofSource({ name: 'mqtt', type: 'mqtt', url, username: 'edge', password: SECRET });
  t.match(refused.problem, { phase: 'login', option: 'one.username' });
  t.notMatch(JSON.stringify(refused), SECRET);
});

t.test('an HTTPS source: a free port, a running router’s, another program’s', async (t) => {
  const { source, directory, caFile } = await startApi(t);
  const entry = {
    name: 'https',
    type: 'https',
    cert_file: join(directory, 'server.crt'),
    key_file: join(directory, 'server.key'),
    client_ca_file: caFile,
    gateways_file: join(directory, 'gateways.yaml'),
  };
  const running = await ofSource({ ...entry, port: source.port() });
  t.match(running, {
    problem: null,
    passed: [
      { phase: 'files', note: '2 gateways with keys' },
      { phase: 'listen', note: 'a router listens there' },
    ],
  });
  t.match((await ofSource({ ...entry, port: 0 })).passed.at(-1)?.note, 'the port is free');
  const other = createServer((socket) => socket.end('no HTTP\n'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => other.close());
  const taken = await ofSource({ ...entry, port: Reflect.get(Object(other.address()), 'port') });
  t.match(taken.problem, { phase: 'listen', option: 'one.port', message: /another program/ });
  const unfit = await ofSource({ ...entry, port: 0, key_file: caFile });
  t.match(unfit.problem, { phase: 'files', option: 'one.cert_file' });
});

t.test('feeds: a broker, a webhook, a file', async (t) => {
  const broker = await startBroker(t);
  const login = await ofFeed({ name: 'out', type: 'mqtt', url: `mqtt://127.0.0.1:${broker.port}` });
  t.equal(names(login), 'resolve connect login', JSON.stringify(login.problem));
  t.same(broker.published, [], 'no record was written');

  const asked: string[] = [];
  let status = 405;
  const receiver = createHttpServer((request, response) => {
    asked.push(String(request.method));
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  t.teardown(() => receiver.close());
  const port: unknown = Reflect.get(Object(receiver.address()), 'port');
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const webhook = { name: 'out', type: 'webhook', url: `http://127.0.0.1:${port}/in`, secret };
  t.equal(names(await ofFeed(webhook)), 'resolve connect write');
  status = 503;
  t.match((await ofFeed(webhook)).problem, { phase: 'write', option: 'one.url', message: 'HTTP 503' });
  t.same(asked, ['OPTIONS', 'OPTIONS'], 'no record was sent');

  const folder = testDir(t);
  t.match(await ofFeed({ name: 'out', type: 'ndjson', file: join(folder, 'new.ndjson') }), { problem: null });
  const nowhere = await ofFeed({ name: 'out', type: 'ndjson', file: join(folder, 'no/new.ndjson') });
  t.match(nowhere.problem, { phase: 'write', option: 'one.file', message: /ENOENT/ });
});

t.test('a SQLite ledger that a running router has', async (t) => {
  const config = {
    data_dir: testDir(t),
    ledger: { type: 'sqlite' as const },
    dead_letters: { max_bytes: 1_000_000, max_age: 86_400_000 },
    conflicts: [],
  };
  const check = () => checked(() => ledgerConnectCheck(config, deps));
  t.match(await check(), { passed: [{ note: 'no ledger yet: the router will make it' }] });
  const ledger = await openLedger(config, { clock, log, role: 'router' });
  t.teardown(() => ledger.close());
  t.match(await check(), { passed: [{ phase: 'open', note: 'ledger with 0 records' }], problem: null });
  await ledger.ping();
});

t.test('a name, a port and a handshake that fail say so, each within its limit', async (t) => {
  const webhook = (url: string) => ({ name: 'out', type: 'webhook', url, secret: `whsec_${'A'.repeat(32)}` });
  const name = await ofFeed(webhook('https://nowhere.invalid/'));
  t.match(name.problem, { phase: 'resolve', option: 'one.url', message: /ENOTFOUND|EAI_AGAIN/ });
  const closed = await refusingPort(t);
  const port = await ofFeed(webhook(`https://127.0.0.1:${closed}/`));
  t.match(port.problem, { phase: 'connect', message: /ECONNREFUSED/, fix: /nothing listens/ });
  const plain = await ofFeed({
    ...webhook(`https://127.0.0.1:${closed}/`),
    proxy: `http://u:${SECRET}@127.0.0.1:${closed}`,
  });
  t.match(plain.problem, { phase: 'connect', option: 'one.proxy', message: /^proxy 127/ });
  t.notMatch(JSON.stringify(plain), SECRET);

  const mute = await silentServer(t);
  const held = new ForwardClock({ heldDelayMs: 10_000 });
  const ended: string[] = [];
  const entry = feedSchema.parse(webhook(`https://127.0.0.1:${mute.port}/`));
  const part = {
    entry: 'one',
    type: 'webhook',
    check: () => feedConnectCheck(entry, { ...deps, clock: held }),
  };
  const running = runPhases(part, {
    clock: held,
    onPhase: (_entry, { phase }) => ended.push(phase),
    clean: (text) => text,
  });
  await until('TCP is connected', () => ended.includes('connect') && held.held > 0);
  held.fireHeld();
  t.match((await running).problem, {
    ...{ phase: 'tls', option: 'one.url', message: 'no answer in 10 s' },
    fix: /does not answer/,
  });
});

t.test('a secret is taken out before a long text is cut', async (t) => {
  const long = new Error(`${'x'.repeat(490)}${SECRET}`);
  const { problem } = await checked(() => Promise.reject(long));
  t.match(problem, { phase: 'files', option: 'one' });
  t.notMatch(problem?.message, SECRET.slice(0, 6));
});

async function refusingPort(t: Test): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = Number(Reflect.get(Object(server.address()), 'port'));
  await new Promise((resolve) => server.close(resolve));
  t.comment(`nothing listens on ${port}`);
  return port;
}
