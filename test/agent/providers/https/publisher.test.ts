/** The HTTPS publisher against a router's real endpoint over TLS, and against other servers. */

import { createServer, type Server } from 'node:https';
import t, { type Test } from 'tap';
import { type HttpsOptions, httpsOptions } from '../../../../agent/providers/https/options.ts';
import { openHttpsPublisher } from '../../../../agent/providers/https/publisher.ts';
import type { OutboundEnvelope, Publisher } from '../../../../agent/providers/publisher.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { fault } from '../../../../loopback/faults.ts';
import { TcpProxy } from '../../../../loopback/tcp-proxy.ts';
import type { Clock } from '../../../../shared/clock.ts';
import { encodeEnvelope, envelopeProperties } from '../../../../shared/envelope/codec.ts';
import { attempt } from '../../../attempt.ts';
import { deps } from '../../../loopback/gcp-support.ts';
import { envelope as envelopeOf } from '../../../router/ledger/envelopes.ts';
import { type ApiFixture, p256, startApi, write, writeKey } from '../../../router/sources/https/support.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { startTunnel } from '../tunnel.ts';

const LONG_MS = 60_000;

t.test('a 200 accepts, by certificate and by token; the bytes arrive; connections are kept', async (t) => {
  const api = await startApi(t);
  const tunnel = await startTunnel(t, api.source.port());
  const url = `https://localhost:${tunnel.port}`;
  const certificate = await api.certificate('gw-1');
  const byCertificate = await open(t, api, { url, ...certificate });
  const byToken = await open(t, api, { url, token_key_file: api.keyFile('gw-1') });
  for (let seq = 1; seq <= 20; seq++) {
    t.same(await byCertificate.publish(envelope([seq]), attempt(LONG_MS)), { kind: 'accepted' });
    t.same(await byToken.publish(envelope([seq + 20]), attempt(LONG_MS)), { kind: 'accepted' });
  }
  t.equal(tunnel.opened(), 2, 'one connection each');
  t.match(await api.ledger.completeness(), [{ gateway: 'gw-1', completeTo: 40 }]);
  const many = Array.from({ length: 30 }, (_, i) => byToken.publish(envelope([i + 41]), attempt(LONG_MS)));
  t.ok((await Promise.all(many)).every(({ kind }) => kind === 'accepted'));
  t.ok(tunnel.opened() <= 17, `${tunnel.opened()} connections (I10)`);
  const large = { ...envelope([1]), bytes: new Uint8Array(byToken.maxEnvelopeBytes + 1) };
  t.match(await byToken.publish(large, attempt(LONG_MS)), {
    kind: 'rejected',
    scope: 'envelope',
    cause: 'too-large',
  });
});

t.test('refused, then black-holed: the outcome, and how soon service is normal again', async (t) => {
  const api = await startApi(t);
  const proxy = new TcpProxy({ targetPort: api.source.port(), port: 0, ...deps });
  await proxy.start();
  t.after(() => proxy.stop());
  const url = `https://localhost:${proxy.port}`;
  const login = { url, token_key_file: api.keyFile('gw-1') };
  const publisher = await open(t, api, login);
  const recovered = async (what: string): Promise<void> => {
    await proxy.setFault(null);
    await until(`accepted after ${what}`, async () => {
      const outcome = await publisher.publish(envelope([1]), attempt(LONG_MS));
      return outcome.kind === 'accepted';
    });
  };
  await proxy.setFault(fault('refuse'));
  t.match(await publisher.publish(envelope([1]), attempt(400)), {
    kind: 'retryable',
    cause: 'connection-refused',
  });
  await recovered('refused');
  await proxy.setFault(fault('blackhole'));
  t.match(await publisher.publish(envelope([1]), attempt(400)), { kind: 'unknown', cause: 'deadline' });
  await recovered('black hole');
  await proxy.setFault(fault('reset'));
  t.match(await publisher.publish(envelope([1]), attempt(LONG_MS)), {
    kind: 'unknown',
    cause: 'connection-lost',
  });
  t.match(await publisher.publish(envelope([1]), attempt(LONG_MS)), {
    kind: 'retryable',
    cause: 'connection-reset',
  });
  await recovered('reset');
  const fresh = await open(t, api, login);
  await proxy.setFault(fault('blackhole'));
  t.match(
    await fresh.publish(envelope([1]), attempt(400)),
    { kind: 'retryable', cause: 'timeout' },
    'never sent',
  );
});

t.test('an answer says why', async (t) => {
  const ca = await createCertificateAuthority(deps.clock, deps.entropy);
  const directory = testDir(t);
  const ca_file = write(directory, 'ca.pem', ca.ca);
  const token_key_file = writeKey(directory, 'gw-1', p256().privateKey);
  let answer: Answer = { status: 200 };
  const port = await startServer(t, await ca.issue('localhost', 'server'), () => answer);
  const options = { url: `https://localhost:${port}/behind/a/proxy`, ca_file, token_key_file };
  const publisher = await openHttpsPublisher(httpsOptions.parse(options), deps);
  t.after(() => publisher.close());
  const unauthorized = { kind: 'rejected', scope: 'provider', cause: 'unauthorized' };
  const cases: Array<[Answer, object]> = [
    [{ status: 200 }, { kind: 'accepted' }],
    [{ status: 204 }, { kind: 'retryable', cause: 'unavailable' }],
    [{ status: 302 }, { kind: 'retryable', cause: 'unavailable' }],
    [{ status: 400 }, { kind: 'rejected', scope: 'envelope', cause: 'invalid' }],
    [{ status: 401, body: '{"secret":"x"}' }, unauthorized],
    [{ status: 403 }, unauthorized],
    [{ status: 404 }, { kind: 'rejected', scope: 'provider', cause: 'not-found' }],
    [{ status: 408 }, { kind: 'retryable', cause: 'unavailable' }],
    [{ status: 413 }, { kind: 'rejected', scope: 'envelope', cause: 'too-large' }],
    [{ status: 422 }, { kind: 'rejected', scope: 'envelope', cause: 'invalid' }],
    [
      { status: 429, headers: { 'retry-after': '7' } },
      { kind: 'throttled', retryAfterMs: 7000 },
    ],
    [{ status: 500 }, { kind: 'retryable', cause: 'server-error' }],
    [
      { status: 503, headers: { 'retry-after': '2' } },
      { kind: 'throttled', retryAfterMs: 2000 },
    ],
    ...[429, 503].map((status): [Answer, object] => [
      {
        status,
        headers: { date: 'Sun, 06 Nov 1994 08:49:37 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:50:07 GMT' },
      },
      { kind: 'throttled', retryAfterMs: 30_000 },
    ]),
    [
      { status: 503, body: '<html>' },
      { kind: 'retryable', cause: 'unavailable' },
    ],
    ['cut', { kind: 'unknown', cause: 'connection-lost' }],
  ];
  for (const [one, expected] of cases) {
    answer = one;
    const outcome = await publisher.publish(envelope([1]), attempt(LONG_MS));
    t.match(outcome, expected, JSON.stringify(one));
    t.notMatch(JSON.stringify(outcome), /secret|Bearer/);
  }
});

t.test('a gateway that boots in 1970 learns the time from the refusal', async (t) => {
  const api = await startApi(t);
  const clock: Clock = { ...deps.clock, wallMs: () => clock.monoMs() };
  const options = httpsOptions.parse({
    url: api.url,
    ca_file: api.caFile,
    token_key_file: api.keyFile('gw-1'),
  });
  const publisher = await openHttpsPublisher(options, { ...deps, clock });
  t.after(() => publisher.close());
  t.match(await publisher.publish(envelope([1]), attempt(LONG_MS)), {
    kind: 'retryable',
    cause: 'clock-skew',
  });
  t.same(await publisher.publish(envelope([1]), attempt(LONG_MS)), { kind: 'accepted' });
});

t.test('who is not known, and who sends for another, is told so', async (t) => {
  const api = await startApi(t);
  const stranger = writeKey(api.directory, 'stranger', p256().privateKey);
  const unauthorized = { kind: 'rejected', scope: 'provider', cause: 'unauthorized' };
  const unknown = await open(t, api, { token_key_file: stranger });
  t.match(await unknown.publish(envelope([1]), attempt(LONG_MS)), unauthorized);
  const other = await open(t, api, await api.certificate('gw-2'));
  const outcome = await other.publish(envelope([1], 'gw-1'), attempt(LONG_MS));
  t.match(outcome, unauthorized, 'another gateway’s envelope');
  t.match(await api.ledger.deadLetters(1), [{ reason: 'foreign-gateway' }]);
  t.strictSame(await api.ledger.completeness(), []);
});

t.test('TLS: the named authority is trusted and no other; a file that is none does not open', async (t) => {
  const api = await startApi(t);
  const others = await createCertificateAuthority(deps.clock, deps.entropy);
  const login = { token_key_file: api.keyFile('gw-1') };
  const distrusted = await open(t, api, { ...login, ca_file: write(api.directory, 'other.pem', others.ca) });
  t.match(await distrusted.publish(envelope([1]), attempt(LONG_MS)), { kind: 'retryable', cause: 'tls' });
  const junk = write(api.directory, 'junk.pem', 'junk');
  for (const wrong of [
    { token_key_file: junk },
    { token_key_file: '/nowhere' },
    { ...login, cert_file: junk, key_file: junk },
    { ...login, ca_file: '/nowhere' },
  ]) {
    const options = httpsOptions.parse({ url: api.url, ...wrong });
    await t.rejects(openHttpsPublisher(options, deps), JSON.stringify(Object.keys(wrong)));
  }
});

t.test('options', async (t) => {
  const login = { token_key_file: 'k' };
  const parsed = httpsOptions.parse({ url: 'https://router:8443', ...login });
  t.match(parsed, { audience: 'headgate', max_envelope_bytes: 524_288 });
  const wrong = [
    { url: 'http://router', ...login },
    { url: 'https://router' },
    { url: 'https://router', cert_file: 'c' },
    { url: 'https://router', key_file: 'k', ...login },
  ];
  for (const options of wrong) t.throws(() => httpsOptions.parse(options), JSON.stringify(options));
});

function envelope(seqs: number[], gateway = 'gw-1'): OutboundEnvelope {
  const content = { ...envelopeOf({ seqs }), gateway };
  const { stream } = content;
  return { gateway, stream, bytes: encodeEnvelope(content), properties: envelopeProperties(content) };
}

async function open(t: Test, api: ApiFixture, options: Partial<HttpsOptions>): Promise<Publisher> {
  const parsed = httpsOptions.parse({ url: api.url, ca_file: api.caFile, ...options });
  const publisher = await openHttpsPublisher(parsed, deps);
  t.after(() => publisher.close());
  return publisher;
}

type Answer = { status: number; headers?: Record<string, string>; body?: string } | 'cut';

/** A server that answers everything alike. Closed when the test ends. */
async function startServer(
  t: Test,
  tls: { cert: string; key: string },
  answer: () => Answer,
): Promise<number> {
  const server: Server = createServer(tls, (incoming, response) => {
    incoming.resume().once('end', () => {
      const reply = answer();
      if (reply === 'cut') incoming.socket.destroy();
      else response.writeHead(reply.status, reply.headers).end(reply.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}
