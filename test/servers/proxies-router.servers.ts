/** The router's connections, and the gateway's receipts, through Debian's tinyproxy with a login. */
import { createServer, type IncomingMessage } from 'node:http';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { feedConnectCheck, feedSchema } from '../../router/feeds/open.ts';
import { WebhookSink, webhookFeedOptions } from '../../router/feeds/sinks/webhook.ts';
import { openSqliteLedger } from '../../router/ledger/sqlite/engine.ts';
import type { LedgerRecord } from '../../router/ledger/types.ts';
import { TopicCarrier, topicOptions } from '../../router/receipts/pubsub.ts';
import { TwinCarrier, twinOptions } from '../../router/receipts/twin.ts';
import { sourceConnectCheck, sourceSchema } from '../../router/sources/open.ts';
import { type CheckedPart, runPhases } from '../../shared/connect-check/phases.ts';
import { makeReceiptTopic, SUBSCRIPTION, TOPIC } from '../agent/downlink/subscription-support.ts';
import { never, openConfigured, receipt } from '../agent/downlink/support.ts';
import { attempt } from '../attempt.ts';
import {
  envelope as azureEnvelope,
  memoryCheckpoints,
  openPublisher,
  startAzure,
  startReading,
} from '../loopback/azure-fixture.ts';
import { deps, startGcp } from '../loopback/gcp-support.ts';
import { entry as ledgerEntry } from '../router/ledger/envelopes.ts';
import { carriage } from '../router/receipts/support.ts';
import { testDir } from '../test-dir.ts';
import { until } from '../until.ts';
import { Tinyproxy } from './tinyproxy.ts';

const LONG_MS = 30_000;

async function started(t: Test): Promise<Tinyproxy> {
  const proxy = new Tinyproxy();
  await proxy.start();
  t.teardown(() => proxy.remove());
  return proxy;
}

const checked = (check: CheckedPart['check']) =>
  runPhases(
    { entry: 'one', type: 'any', check },
    { clock: deps.clock, onPhase: () => undefined, clean: (text) => text },
  );

t.test(
  'Event Hubs is read over a WebSocket through the proxy, and again after an outage of it',
  async (t) => {
    const [proxy, { cloud }] = [await started(t), await startAzure(t)];
    const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
    const host = /sb:\/\/(localhost:\d+)/.exec(JSON.stringify(cloud.routerConfig()))?.[1];
    const checkpoints = memoryCheckpoints();
    const config = { ...cloud.routerConfig(), proxy: proxy.url };
    const reading = await startReading(t, { config, checkpoints, watchdogMs: 500 });
    await publisher.publish(azureEnvelope('one'), attempt(LONG_MS));
    await until('it is read', () => reading.texts().includes('one'));
    t.strictSame([...new Set(proxy.tunnels())], [host]);

    await proxy.stop();
    await until('the source says so', () => !reading.source.state().connected);
    await until('the proxy is the reason', () => /proxy 127/.test(reading.source.state().lastError ?? ''));
    t.notMatch(JSON.stringify(reading.source.state()), /secret|ZWRnZ/);
    await publisher.publish(azureEnvelope('two'), attempt(LONG_MS));
    await proxy.start();
    await until('it is read after the outage', () => reading.texts().includes('two'));
    t.match(reading.source.state(), { connected: true, lastError: null });
  },
);

t.test('Event Hubs: a refusal of the proxy is named, without its password', async (t) => {
  const [proxy, { cloud }] = [await started(t), await startAzure(t)];
  const { source } = await startReading(t, { config: { ...cloud.routerConfig(), proxy: proxy.wrongUrl } });
  await until('the refusal is told', () => /HTTP 40[17]/.test(source.state().lastError ?? ''));
  t.notMatch(JSON.stringify(source.state()), /secret|ZWRnZ/);
  const entry = sourceSchema.parse({ ...cloud.routerConfig(), proxy: proxy.wrongUrl });
  const { problem } = await checked(() => sourceConnectCheck(entry, deps));
  t.match(problem, { phase: 'connect', option: 'one.proxy', message: /HTTP 40[17]/ });
  const right = sourceSchema.parse({ ...cloud.routerConfig(), proxy: proxy.url });
  const { passed } = await checked(() => sourceConnectCheck(right, deps));
  t.match(passed, [{ phase: 'resolve', note: /^through the proxy 127/ }, {}, {}, {}, { phase: 'read' }]);
});

t.test('Event Hubs comes from the local address, over TLS and over a WebSocket', async (t) => {
  const { cloud } = await startAzure(t);
  const publisher = await openPublisher(t, cloud.agentConfig('gw-1'));
  await publisher.publish(azureEnvelope('one'), attempt(LONG_MS));
  const [loopback] = Object.keys(networkInterfaces()).filter((name) => name.startsWith('lo'));
  for (const websocket of [false, true]) {
    const from = await startReading(t, {
      config: { ...cloud.routerConfig(), websocket, local_address: loopback },
    });
    await until('it is read', () => from.texts().includes('one'));
    const foreign = { ...cloud.routerConfig(), websocket, local_address: '192.0.2.1' };
    const { source } = await startReading(t, { config: foreign });
    await until('an address of another machine fails', () =>
      /EADDRNOTAVAIL/.test(source.state().lastError ?? ''),
    );
  }
});

/** As a feed reads it. */
async function oneRecord(t: Test): Promise<LedgerRecord[]> {
  const ledger = await openSqliteLedger({ file: `${testDir(t)}/ledger.db`, ...deps });
  t.teardown(() => ledger.close());
  await ledger.commit([ledgerEntry({ seqs: [1] })]);
  return ledger.read(0, 1);
}

t.test('a webhook is posted to through the proxy', async (t) => {
  const proxy = await started(t);
  const bodies: string[] = [];
  const receiver = createServer(async (request: IncomingMessage, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    bodies.push(`${request.method} ${body.length > 0}`);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  t.teardown(() => receiver.close());
  const at = `127.0.0.1:${Reflect.get(Object(receiver.address()), 'port')}`;
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const options = { url: `http://${at}/in`, insecure: true, secret, proxy: proxy.url };
  const sink = new WebhookSink(webhookFeedOptions.parse(options), deps.clock);
  t.teardown(() => sink.close());
  const records = await oneRecord(t);
  t.equal(await sink.write(records), 1);
  const entry = feedSchema.parse({ name: 'out', type: 'webhook', ...options });
  t.match(await checked(() => feedConnectCheck(entry, deps)), { problem: null });
  t.strictSame(bodies, ['POST true', 'OPTIONS false']);
  t.ok(proxy.tunnels().length >= 2);
  t.strictSame([...new Set(proxy.tunnels())], [at], 'never directly');

  await proxy.stop();
  await t.rejects(sink.write(records), /proxy 127|ECONNREFUSED/);
  const refused = new WebhookSink(
    webhookFeedOptions.parse({ ...options, proxy: proxy.wrongUrl }),
    deps.clock,
  );
  t.teardown(() => refused.close());
  await proxy.start();
  const problem = await refused.write(records).catch(String);
  t.match(problem, /HTTP 40[17]/);
  t.notMatch(problem, /secret|ZWRnZ/);
});

t.test('receipts reach a twin through the proxy', async (t) => {
  const [proxy, { cloud }] = [await started(t), await startAzure(t)];
  cloud.agentConfig('gw-1');
  const { name: _name, type: _type, ...options } = cloud.twinConfig();
  const carrier = new TwinCarrier(twinOptions.parse({ ...options, proxy: proxy.url }), deps);
  t.teardown(() => carrier.close());
  t.same(await carrier.send(carriage(receipt(1)), never), { kind: 'sent' });
  t.equal(proxy.tunnels().length, 1);
  const wrong = new TwinCarrier(twinOptions.parse({ ...options, proxy: proxy.wrongUrl }), deps);
  t.teardown(() => wrong.close());
  const refused = await wrong.send(carriage(receipt(2)), never);
  t.match(refused, { kind: 'failed', problem: /HTTP 40[17]/ });
  t.notMatch(JSON.stringify(refused), /secret|ZWRnZ/);
});

t.test('receipts go through the proxy into a topic, and out of the gateway’s subscription', async (t) => {
  const [proxy, { agent, router }] = [await started(t), await startGcp(t)];
  await makeReceiptTopic(t, router);
  const { subscription: _subscription, ...access } = router;
  const carrier = new TopicCarrier(topicOptions.parse({ ...access, topic: TOPIC, proxy: proxy.url }), deps);
  t.teardown(() => carrier.close());
  const { topic: _topic, region: _region, next_credentials: _next, ...reading } = agent;
  const { receipts, downlink } = await openConfigured(t, {
    ...{ type: 'gcp', name: 'pubsub', subscription: SUBSCRIPTION, ...reading },
    proxy: proxy.url,
  });
  t.same(await carrier.send(carriage(receipt(1)), never), { kind: 'sent' });
  await until('the receipt came', () => receipts.length === 1);
  await until('the downlink says so', () => downlink.isUp);
  const ends = [router.endpoint, agent.endpoint].map(String);
  t.strictSame(new Set(proxy.tunnels()), new Set(ends), 'both ends by tunnels');
});
