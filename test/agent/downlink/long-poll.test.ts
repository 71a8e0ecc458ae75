/** The long poll of a gateway at a router's real endpoint. */
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { fault } from '../../../loopback/faults.ts';
import { TcpProxy } from '../../../loopback/tcp-proxy.ts';
import { deps } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import {
  type ApiFixture,
  ask,
  bytesOf,
  p256,
  RECEIPT_INTERVAL_MS,
  startApi,
  writeKey,
} from '../../router/sources/https/support.ts';
import { until } from '../../until.ts';
import { NOW_MS, nothingForgedCounts } from './hostile.ts';
import { openConfigured, TIMELESS } from './support.ts';

async function open(
  t: Test,
  api: ApiFixture,
  options: Record<string, unknown> = {},
  isWaiting = true,
  clock = deps.clock,
) {
  const heard = { count: 0, lost: 0 };
  const tracker = {
    onRouterAnswer() {
      heard.count += 1;
    },
    onRouterSilent() {
      heard.lost += 1;
    },
    isWaiting,
  };
  const config = {
    type: 'https',
    name: 'router',
    url: api.url,
    ca_file: api.caFile,
    token_key_file: api.keyFile('gw-1'),
    ...options,
  };
  const { downlink, receipts, lines } = await openConfigured(t, config, { tracker, clock });
  return { downlink, receipts, heard, lines };
}

t.test('receipts come as records are committed, and silence is answered too', async (t) => {
  const api = await startApi(t);
  const certificate = await api.certificate('gw-1');
  const { downlink, receipts, heard } = await open(t, api);
  await until('receipt 1 came', () => receipts.length === 1);
  t.same(receipts[0]?.streams, [], 'at once');
  t.ok(downlink.isUp);
  await ask(api, { certificate, body: bytesOf([1, 2]) });
  await until('receipt 2 came', () => receipts.length === 2);
  t.match(receipts[1], { gateway: 'gw-1', streams: [{ to: 2 }] });
  await until('3 answers came', () => heard.count >= 3);
  t.equal(receipts.length, 2, 'nothing new');
  t.equal(heard.lost, 0);
});

t.test('a router that goes away is told, and found again', async (t) => {
  const api = await startApi(t);
  const proxy = new TcpProxy({ targetPort: api.source.port(), port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  const { downlink, receipts, heard, lines } = await open(t, api, { url: `https://localhost:${proxy.port}` });
  await until('receipt 1 came and the downlink is up', () => receipts.length === 1 && downlink.isUp);
  await proxy.setFault(fault('refuse'));
  await until('2 questions failed', () => heard.lost >= 2);
  t.notOk(downlink.isUp);
  await ask(api, { certificate: await api.certificate('gw-1'), body: bytesOf([1]) });
  await proxy.setFault(null);
  await until('receipt 2 came', () => receipts.length === 2);
  t.ok(downlink.isUp);
  const events = lines.map((line) => JSON.parse(line).event);
  t.same(events, ['downlink.up', 'downlink.down', 'downlink.up'], 'one line for each change');
});

t.test('a key that the router does not know yet; a stop in the middle of a poll', async (t) => {
  const clock = new ManualClock();
  const api = await startApi(t, { clock });
  const token_key_file = writeKey(api.directory, 'later', p256().privateKey);
  const { downlink, receipts, heard, lines } = await open(t, api, { token_key_file }, false, TIMELESS);
  await until('1 questions failed', () => heard.lost >= 1);
  t.match(lines.join(), /HTTP 401/);
  t.notMatch(lines.join(), /Bearer|PRIVATE/);
  copyFileSync(api.keyFile('gw-1'), token_key_file);
  await until('receipt 1 came', () => receipts.length === 1);
  await until('the router holds the next poll', () => clock.isDueIn(RECEIPT_INTERVAL_MS));
  await downlink.stop();
  await until('the router sees its end', () => !clock.isDueIn(RECEIPT_INTERVAL_MS));
  t.equal(clock.monoMs(), 0, 'not by its time');
});

t.test('a file that is missing stops nothing; it is looked for again (I9)', async (t) => {
  const api = await startApi(t);
  const { downlink, heard, lines } = await open(t, api, { token_key_file: '/nowhere/key' });
  await until('1 questions failed', () => heard.lost >= 1);
  t.match(lines.join(), /ENOENT/);
  await downlink.stop();
});

/** A server with a certificate of the authority that answers with each text once, and else with no news. */
async function serverOf(t: Test, api: ApiFixture): Promise<{ url: string; say(text: string): void }> {
  const { cert, key } = await api.ca.issue('localhost', 'server');
  let text: string | null = null;
  const server = createServer({ cert, key }, (_request, response) => {
    const answer = text;
    text = null;
    if (answer === null) response.writeHead(204).end();
    else response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port}`,
    say(next) {
      text = next;
    },
  };
}

t.test('nothing that a server says counts but what the router signed for this gateway', async (t) => {
  const api = await startApi(t);
  const server = await serverOf(t, api);
  const heard = { answers: 0, lost: 0 };
  const config = {
    ...{ type: 'https', name: 'router', url: server.url },
    ...{ ca_file: api.caFile, token_key_file: api.keyFile('gw-1') },
  };
  const tracker = {
    onRouterAnswer() {
      heard.answers += 1;
    },
    onRouterSilent() {
      heard.lost += 1;
    },
  };
  const { receiver, receipts, lines } = await openConfigured(t, config, { tracker, wallMs: NOW_MS });
  await nothingForgedCounts(t, { receiver, receipts, put: async (text) => server.say(text) });
  t.ok(heard.lost > 0, 'a dropped receipt is no answer of the router');
  t.match(lines.join(), /downlink.down.*is signed by a key that is not in router_keys/);
});
