/**
 * The router's HTTPS endpoint over sockets: authentication, answers, and no acceptance before the commit
 * (I5).
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { SignJWT } from 'jose';
import t from 'tap';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { GatewayKeys } from '../../../../router/gateways/gateway-keys.ts';
import { httpsSourceOptions } from '../../../../router/sources/https/options.ts';
import type { Settlement } from '../../../../router/sources/source.ts';
import { noneConnected } from '../../../../router/sources/status.ts';
import { createLogger } from '../../../../shared/log.ts';
import { deps } from '../../../loopback/gcp-support.ts';
import { until } from '../../../until.ts';
import { HandGate } from '../hand-gate.ts';
import { type Ask, ask, bytesOf, p256, startApi } from './support.ts';

interface Claims {
  gateway?: string;
  audience?: string;
  iatS?: number;
  lifeS?: number;
}

/** A token for `gw-1`, signed with `key`, that differs from a good one as told. */
async function bearer(key: KeyObject, claims: Claims = {}): Promise<Record<string, string>> {
  const nowS = Math.floor(deps.clock.wallMs() / 1000);
  const { gateway = 'gw-1', audience = 'headgate', iatS = nowS, lifeS = 300 } = claims;
  const algorithm = key.asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'ES256';
  const token = await new SignJWT()
    .setProtectedHeader({ alg: algorithm })
    .setSubject(gateway)
    .setAudience(audience)
    .setIssuedAt(iatS)
    .setExpirationTime(iatS + lifeS)
    .sign(key);
  return { authorization: `Bearer ${token}` };
}

t.test('an envelope by certificate, and one by token of either kind', async (t) => {
  const api = await startApi(t);
  const certificate = await api.certificate('gw-1');
  t.match(await ask(api, { certificate, body: bytesOf([1, 2]) }), { status: 200, body: { committed: true } });
  for (const gateway of ['gw-1', 'gw-2']) {
    const key = createPrivateKey(readFileSync(api.keyFile(gateway)));
    const headers = await bearer(key, { gateway });
    const marked = { ...headers, 'headgate-why': 'redundant' };
    t.match(await ask(api, { headers: marked, body: bytesOf([3], gateway) }), { status: 200 }, gateway);
  }
  t.match(await api.ledger.completeness('gw-1'), [{ completeTo: 3, records: 3 }]);
  t.match(await api.ledger.read(0, 10), [{ source: 'private' }]);
  t.match(api.source.state(), { connected: true, received: 3, settled: 3, lastError: null });
  t.equal(api.source.refusals().size, 0);
});

t.test('who is not let in is told why, and nothing of it is read', async (t) => {
  const key = generateKeyPairSync('ed25519').privateKey;
  const api = await startApi(t);
  const own = createPrivateKey(readFileSync(api.keyFile('gw-1')));
  const nowS = Math.floor(deps.clock.wallMs() / 1000);
  const strangers = await createCertificateAuthority(deps.clock, deps.entropy);
  const cases: Array<[string, string, Ask]> = [
    ['nothing', 'no-credentials', {}],
    ['another scheme', 'no-credentials', { headers: { authorization: 'Basic eDp5' } }],
    ['no token', 'token', { headers: { authorization: 'Bearer abc' } }],
    ['a key that is not registered', 'token', { headers: await bearer(key) }],
    ['a gateway that is not registered', 'token', { headers: await bearer(own, { gateway: 'gw-9' }) }],
    ['the key of another gateway', 'token', { headers: await bearer(own, { gateway: 'gw-2' }) }],
    ['for another router', 'token', { headers: await bearer(own, { audience: 'other' }) }],
    ['expired', 'token-time', { headers: await bearer(own, { iatS: nowS - 800 }) }],
    ['of tomorrow', 'token-time', { headers: await bearer(own, { iatS: nowS + 86_400 }) }],
    ['for a day', 'token', { headers: await bearer(own, { lifeS: 86_400 }) }],
    ['a stranger’s certificate', 'certificate', { certificate: await api.certificate('gw-1', strangers) }],
  ];
  for (const [title, reason, one] of cases) {
    const reply = await ask(api, { ...one, body: bytesOf([1]) });
    t.match(reply, { status: 401, body: { reason } }, title);
  }
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(
    JSON.stringify({ sub: 'gw-1', aud: 'headgate', iat: nowS, exp: nowS + 60 }),
  ).toString('base64url')}.`;
  t.match(await ask(api, { headers: { authorization: `Bearer ${unsigned}` } }), { status: 401 }, 'alg none');
  t.match(api.source.state(), { received: 0 });
  t.equal(api.source.refusals().get('token'), 7);
  t.equal(api.source.refusals().get('token-time'), 2);
  t.strictSame(await api.ledger.completeness(), []);
});

t.test(
  'what cannot be decoded, or is another gateway’s, is answered and kept as a dead letter',
  async (t) => {
    const api = await startApi(t);
    const certificate = await api.certificate('gw-1');
    const foreign = await ask(api, { certificate, body: bytesOf([1], 'gw-2') });
    t.match(foreign, { status: 403, body: { reason: 'foreign-gateway' } });
    const flipped = Buffer.from(bytesOf([1]));
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
    t.match(await ask(api, { certificate, body: flipped }), { status: 400, body: { reason: 'checksum' } });
    t.match(await ask(api, { certificate }), { status: 400, body: { reason: 'truncated' } });
    const newer = Buffer.from(bytesOf([1]));
    newer[2] = 4;
    t.match(await ask(api, { certificate, body: newer }), { status: 422, body: { reason: 'version' } });
    t.match(api.source.state(), { received: 4, settled: 4 }, 'dead letters are settled');
    t.match(await api.ledger.deadLetters(10), [
      { reason: 'version', source: 'private' },
      { reason: 'truncated' },
      { reason: 'checksum' },
      { reason: 'foreign-gateway', detail: 'gw-1 sent an envelope of gw-2' },
    ]);
    t.strictSame(await api.ledger.completeness(), []);
    t.equal(api.source.refusals().get('undecodable'), 3);
    t.equal(api.source.refusals().get('foreign-gateway'), 1);
  },
);

t.test('an envelope that is too large, and paths and methods that are none', async (t) => {
  const api = await startApi(t, { options: { max_body: '4KiB' } });
  const certificate = await api.certificate('gw-1');
  t.match(await ask(api, { certificate, body: new Uint8Array(5000) }), { status: 413 });
  t.equal(api.source.refusals().get('too-large'), 1);
  t.match(await ask(api, { certificate, path: '/v1/status', method: 'GET' }), { status: 404 });
  t.match(await ask(api, { certificate, method: 'PUT', body: bytesOf([1]) }), { status: 404 });
  t.match(
    await ask(api, { path: '/v1/status', method: 'GET' }),
    { status: 401 },
    'nor does a stranger learn which',
  );
});

t.test('200 comes after the settlement, 503 with Retry-After when there is none (I5)', async (t) => {
  const waiting: Array<(settlement: Settlement) => void> = [];
  const api = await startApi(t, { handler: () => new Promise((resolve) => waiting.push(resolve)) });
  const certificate = await api.certificate('gw-1');
  const reply = ask(api, { certificate, body: bytesOf([1]) });
  await until('waiting.length === 1', () => waiting.length === 1);
  let answered: boolean = false;
  void reply.then(() => {
    answered = true;
  });
  await ask(api, { certificate, path: '/v1/status', method: 'GET' });
  t.notOk(answered, 'not while a later request is answered');
  waiting.shift()?.('settle');
  t.match(await reply, { status: 200 });
  const late = ask(api, { certificate, body: bytesOf([2]) });
  await until('waiting.length === 1', () => waiting.length === 1);
  waiting.shift()?.('retry');
  t.match(await late, { status: 503, headers: { 'retry-after': '1' } });
  t.equal(api.source.refusals().get('behind'), 1);
});

t.test('over its quota a gateway is told for how long to wait, and nothing is kept', async (t) => {
  const waits = [250, 40_000, 7_200_000];
  const api = await startApi(t, {
    handler: async ({ mayWait }) => (mayWait?.(waits.shift() ?? 0) ? 'later' : 'settle'),
  });
  const certificate = await api.certificate('gw-1');
  for (const seconds of ['1', '40', '60'])
    t.match(await ask(api, { certificate, body: bytesOf([1]) }), {
      status: 429,
      headers: { 'retry-after': seconds },
      body: { error: /over its quota/ },
    });
});

t.test('one gateway may have so many envelopes in hand, and others are not held up (I10)', async (t) => {
  const waiting: Array<(settlement: Settlement) => void> = [];
  const api = await startApi(t, { handler: () => new Promise((resolve) => waiting.push(resolve)) });
  const certificate = await api.certificate('gw-1');
  const replies = Array.from({ length: 40 }, () => ask(api, { certificate, body: bytesOf([1]) }));
  await until(
    'waiting.length === 32 && api.source.refusals().get(behind) === 8',
    () => waiting.length === 32 && api.source.refusals().get('behind') === 8,
  );
  const other = ask(api, { certificate: await api.certificate('gw-2'), body: bytesOf([1], 'gw-2') });
  await until('waiting.length === 33', () => waiting.length === 33);
  for (const settle of waiting) settle('settle');
  t.match(await other, { status: 200 });
  const statuses = (await Promise.all(replies)).map(({ status }) => status);
  t.equal(statuses.filter((status) => status === 200).length, 32);
  t.equal(statuses.filter((status) => status === 429).length, 8);
});

t.test('what is in hand at a stop is answered, then nothing more is taken', async (t) => {
  const waiting: Array<(settlement: Settlement) => void> = [];
  const api = await startApi(t, { handler: () => new Promise((resolve) => waiting.push(resolve)) });
  const certificate = await api.certificate('gw-1');
  const reply = ask(api, { certificate, body: bytesOf([1]) });
  await until('waiting.length === 1', () => waiting.length === 1);
  const stopped = api.source.stop();
  waiting.shift()?.('settle');
  t.match(await reply, { status: 200 });
  await stopped;
  await t.rejects(ask(api, { certificate, body: bytesOf([2]) }), { code: 'ECONNREFUSED' });
});

t.test('keys are changed while it runs; a file that is none leaves the old ones in force', async (t) => {
  const ticks: Array<() => void> = [];
  const api = await startApi(t);
  const clock = {
    ...deps.clock,
    every(_: number, run: () => void) {
      ticks.push(run);
      return { cancel: () => undefined };
    },
  };
  const file = `${api.directory}/gateways.yaml`;
  const lines: string[] = [];
  const log = createLogger({ level: 'error', levels: {} }, { write: (line) => lines.push(line) });
  const keys = new GatewayKeys(file, { clock, log });
  await keys.start();
  t.equal(keys.of('gw-1').length, 1);
  const look = async (done: () => boolean): Promise<void> => {
    for (const tick of ticks) tick();
    await until('the keys', done);
  };
  const { publicKey } = p256();
  api.register({ 'gw-3': publicKey });
  await look(() => keys.of('gw-3').length === 1);
  t.same(keys.of('gw-1'), [], 'who is no longer there is out');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
  api.register({ 'gw-4': rsa });
  for (const tick of ticks) tick();
  await until('the refusal of the file', () => lines.join().includes('api.gateways_not_read'));
  t.equal(keys.of('gw-3').length, 1, 'still in force');
  await keys.stop();
});

t.test('while its address is taken it tries again, and says why it does not listen (I9)', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const api = await startApi(t, { options: { port } });
  t.match(api.source.state(), { connected: false, lastError: new RegExp(`port ${port} .*EADDRINUSE`) });
  t.match(noneConnected([api.source]), /^private: sources\.private\.port: port .*EADDRINUSE/);
  await new Promise((resolve) => other.close(resolve));
  await until('it listens', () => api.source.state().connected);
  t.match(api.source.state(), { lastError: null });
  t.equal(noneConnected([api.source]), null);
});

t.test('while the ledger does not commit, the answer is 503 at once', async (t) => {
  const gate = new HandGate();
  let handled = 0;
  const handler = async (): Promise<Settlement> => {
    handled += 1;
    return 'settle';
  };
  const api = await startApi(t, { handler, gate });
  const certificate = await api.certificate('gw-1');
  gate.close();
  t.match(await ask(api, { certificate, body: bytesOf([1]) }), {
    status: 503,
    headers: { 'retry-after': '1' },
  });
  gate.open();
  t.match(await ask(api, { certificate, body: bytesOf([1]) }), { status: 200 });
  t.equal(handled, 1);
});

t.test('options', async (t) => {
  const tls = { cert_file: 'c', key_file: 'k' };
  const wrong = (options: object): string[] => {
    const parsed = httpsSourceOptions.safeParse({ port: 8443, ...options });
    return parsed.error?.issues.map(({ path }) => path.join('.')) ?? [];
  };
  t.same(wrong({ ...tls, host: '0.0.0.0', client_ca_file: 'ca' }), []);
  t.same(wrong({ gateways_file: 'g' }), [], 'behind a proxy on this machine');
  t.same(wrong({ gateways_file: 'g', host: '0.0.0.0' }), ['cert_file']);
  t.same(wrong({ ...tls }), ['gateways_file']);
  t.same(wrong({ cert_file: 'c', gateways_file: 'g' }), ['key_file']);
  t.same(wrong({ client_ca_file: 'ca' }), ['client_ca_file']);
  t.same(wrong({ gateways_file: 'g', max_body: '1B' }), ['max_body']);
});
