/** The answers of the hub's service API to a receipt, and the router's reactions. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { verifySas } from '../../../loopback/azure/sas.ts';
import { fault } from '../../../loopback/faults.ts';
import { hubToken, parsePolicy } from '../../../router/receipts/hub-token.ts';
import { TwinCarrier, twinOptions } from '../../../router/receipts/twin.ts';
import { receiptInUpdate, TWIN_RECEIPT_BYTES_MAX, twinPieces } from '../../../shared/twin-receipt.ts';
import { never, receipt } from '../../agent/downlink/support.ts';
import { latency } from '../../latency.ts';
import { clock, entropy, type Fixture, startAzure } from '../../loopback/azure-fixture.ts';
import { carriage } from './support.ts';

const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));

function carrierTo(t: Test, options: Record<string, unknown>, change = (text: string) => text): TwinCarrier {
  const { name: _name, type: _type, ...rest } = options;
  const carrier = new TwinCarrier(twinOptions.parse(JSON.parse(change(JSON.stringify(rest)))), { clock });
  t.teardown(() => carrier.close());
  return carrier;
}

async function start(t: Test): Promise<Fixture> {
  const azure = await startAzure(t);
  azure.cloud.agentConfig('gw-1');
  return azure;
}

t.test('a gateway’s own trouble is refused, everything else tried again', async (t) => {
  const { cloud } = await start(t);
  const carrier = carrierTo(t, cloud.twinConfig());
  t.same(await carrier.send(carriage(receipt(1)), never), { kind: 'sent' });
  t.match(await carrier.send(carriage(receipt(1, 'gw-9')), never), {
    kind: 'refused',
    problem: 'HTTP 404 DeviceNotFound',
  });
  cloud.patchDesired('gw-1', { mine: 'x'.repeat(32_700) });
  t.match(
    await carrier.send(carriage(receipt(2)), never),
    { kind: 'refused', problem: /413/ },
    'no room is left',
  );
  cloud.patchDesired('gw-1', { mine: null });
  await cloud.setFault(fault('throttle'));
  t.match(await carrier.send(carriage(receipt(2)), never), {
    kind: 'failed',
    problem: 'HTTP 429 ThrottlingException',
  });
  await cloud.setFault(null);
  cloud.setBasicTier(true);
  t.match(await carrier.send(carriage(receipt(2)), never), {
    kind: 'failed',
    problem: /403.*basic tier has no twins/,
  });
});

t.test('a policy that is not the hub’s is of every gateway, and its key never shown', async (t) => {
  const { cloud } = await start(t);
  const secret = 'bm90LXRoZS1rZXk=';
  const wrong = carrierTo(t, cloud.twinConfig(), (text) =>
    text.replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${secret}`),
  );
  const refused = await wrong.send(carriage(receipt(1)), never);
  t.match(refused, { kind: 'failed', problem: 'HTTP 401 IotHubUnauthorizedAccess' });
  t.notMatch(JSON.stringify(refused), secret);
  const other = carrierTo(t, cloud.twinConfig(), (text) => text.replace('KeyName=service', 'KeyName=device'));
  t.match(await other.send(carriage(receipt(1)), never), { kind: 'failed', problem: /401/ });
});

/** A carrier to a hub that answers as it is told, and what that hub sees. */
async function hubThat(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const azure = await start(t);
  const tls = await azure.ca.issue('localhost', 'server');
  const seen = { connections: 0 };
  const server = createServer({ cert: tls.cert, key: tls.key }, answer);
  server.on('secureConnection', () => {
    seen.connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const carrier = carrierTo(t, azure.cloud.twinConfig(), (text) =>
    text.replace(/localhost:\d+/, `localhost:${port}`),
  );
  return { carrier, seen };
}

t.test('a quota that is used up is no fault of the gateway', async (t) => {
  const bodies = [
    '{"Message":"ErrorCode:IotHubQuotaExceeded;Total number of messages exceeded"}',
    '{"errorCode":403002,"trackingId":"x"}',
    '{"errorCode":403004}',
    '<html>',
  ];
  const seen: unknown[] = [];
  const { carrier } = await hubThat(t, (request, response) => {
    seen.push([request.method, request.url, request.headers['if-match']]);
    request.resume();
    response.writeHead(403).end(bodies[seen.length - 1]);
  });
  const kinds: string[] = [];
  for (const _ of bodies) kinds.push((await carrier.send(carriage(receipt(1)), never)).kind);
  t.same(kinds, ['failed', 'failed', 'refused', 'refused']);
  t.same(seen[0], ['PATCH', '/twins/gw-1?api-version=2021-04-12', '"*"']);
});

t.test('many at once share a few connections (I10)', async (t) => {
  const { carrier, seen } = await hubThat(t, (request, response) => {
    request.resume();
    void latency(20).then(() => response.writeHead(200).end('{}'));
  });
  const sends = Array.from({ length: 40 }, (_, i) => carrier.send(carriage(receipt(1, `gw-${i}`)), never));
  t.same(new Set((await Promise.all(sends)).map(({ kind }) => kind)), new Set(['sent']));
  t.ok(seen.connections <= 16, `${seen.connections} connections`);
});

t.test('no hub, no answer, no file: told, and ended at once by the signal (I9)', async (t) => {
  const { cloud } = await start(t);
  const carrier = carrierTo(t, cloud.twinConfig());
  t.match(await carrier.send(carriage(receipt(1)), AbortSignal.abort()), { kind: 'failed' });
  const missing = carrierTo(t, { ...cloud.twinConfig(), ca_file: '/nowhere/ca.pem' });
  t.match(await missing.send(carriage(receipt(1)), never), { kind: 'failed', problem: /ENOENT/ });
  const { ca_file: _ca, ...untrusted } = cloud.twinConfig();
  t.match(await carrierTo(t, untrusted).send(carriage(receipt(1)), never), {
    kind: 'failed',
    problem: /certificate/,
  });
  await cloud.stop();
  t.match(await carrier.send(carriage(receipt(1)), never), {
    kind: 'failed',
    problem: /ECONNREFUSED|hang up/,
  });
});

t.test('a connection string is of a policy, or refused', async (t) => {
  const key = Buffer.from(entropy.bytes(32)).toString('base64');
  const whole = `HostName=h.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=${key}`;
  t.match(parsePolicy(whole), { host: 'h.azure-devices.net', address: 'h.azure-devices.net' });
  t.match(parsePolicy(`${whole};GatewayHostName=edge:8443`), { address: 'edge:8443' });
  for (const wrong of [
    '',
    'HostName=h',
    whole.replace('KeyName', 'Kayname'),
    `${whole.split(';', 2).join(';')}`,
  ])
    t.equal(parsePolicy(wrong), null, wrong);
  t.notOk(twinOptions.safeParse({ credentials: { connection_string: 'Endpoint=sb://x' } }).success);
  const policy = { host: 'h.azure-devices.net', address: '', name: 'service', key: Buffer.from('key') };
  const token = verifySas(hubToken(policy, 1_700_000_000_000), 'key', 1_700_000_000_000);
  t.same(token, { resource: policy.host, keyName: 'service', expirySeconds: 1_700_003_600 });
});

t.test('pieces are whole again, whatever was there before', (t) => {
  for (const bytes of [1, 4000, 4001, 15_999, TWIN_RECEIPT_BYTES_MAX]) {
    const text = 'x'.repeat(bytes - 1).concat('y');
    t.equal(receiptInUpdate(json({ headgate_receipt: twinPieces(text) })), text, `${bytes} bytes`);
  }
  t.equal(receiptInUpdate(json({ other: 1 })), null);
  t.equal(receiptInUpdate(Buffer.of()), null);
  t.equal(receiptInUpdate(json({ headgate_receipt: null })), null);
  t.equal(receiptInUpdate(json({ headgate_receipt: 7 })), '', 'no receipt');
  t.end();
});
