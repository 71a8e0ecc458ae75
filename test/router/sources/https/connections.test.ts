/** Connections to the router's HTTPS endpoint that cost it something before anybody has logged in (I10). */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { networkOf } from '../../../../shared/network/network-of.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { until } from '../../../until.ts';
import { type ApiFixture, ask, bytesOf, startApi } from './support.ts';

/** A connection that says nothing; from another loopback address where told. */
async function silent(t: Test, { url }: ApiFixture, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress });
  socket.on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

t.test('the last fifth of the connections is for addresses from which a gateway came', async (t) => {
  const api = await startApi(t, { options: { max_connections: 5 } });
  const certificate = await api.certificate('gw-1');
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await silent(t, api, '127.0.0.2'));
  await t.rejects(ask(api, { certificate, body: bytesOf([1]) }), 'a fifth one, of an unknown address');
  t.equal(api.source.refusals().get('connection-limit'), 1);
  held.pop()?.destroy();
  await until('a place is free', async () => {
    const reply = await ask(api, { certificate, body: bytesOf([1]) }).catch(() => null);
    return reply?.status === 200;
  });
  const refused = api.source.refusals().get('connection-limit') ?? 0;
  const again = await silent(t, api, '127.0.0.2');
  const another = await silent(t, api, '127.0.0.2');
  await until('another is refused', () => (api.source.refusals().get('connection-limit') ?? 0) > refused);
  t.match(await ask(api, { certificate, body: bytesOf([2]) }), { status: 200 }, 'the gateway still gets in');
  again.destroy();
  another.destroy();
});

t.test('connections of one address, and how many it begins in a second', async (t) => {
  const clock = new ManualClock();
  const api = await startApi(t, {
    options: { max_connections_per_address: 3, max_connect_rate_per_address: 2 },
    sourceClock: clock,
  });
  const sockets = [];
  for (let i = 0; i < 4; i++) sockets.push(await silent(t, api, '127.0.0.2'));
  await until('the fourth is refused', () => api.source.refusals().get('address-limit') === 1);
  for (let i = 0; i < 9; i++) (await silent(t, api, '127.0.0.3')).destroy();
  await until('the ninth is refused', () => api.source.refusals().get('connect-rate') === 1);
  t.equal(sockets.filter(({ destroyed }) => !destroyed).length >= 3, true);
});

t.test('a connection without a whole request head ends after ten seconds', async (t) => {
  const clock = new ManualClock();
  const api = await startApi(t, { sourceClock: clock });
  const certificate = await api.certificate('gw-1');
  const socket = await silent(t, api);
  const ended = once(socket, 'close');
  // Accepted after the silent one: it is answered, so that one is known to the source.
  t.match(await ask(api, { certificate, body: bytesOf([1]) }), { status: 200 });
  clock.advance(9999);
  t.equal(api.source.refusals().get('head-timeout'), undefined);
  clock.advance(1);
  await ended;
  t.equal(api.source.refusals().get('head-timeout'), 1, 'the one that was answered is not among them');
});

t.test('a body that stops ends its connection, and one that comes is read to its end', async (t) => {
  const api = await startApi(t, { bodySilenceMs: 300 });
  const { cert_file, key_file } = await api.certificate('gw-1');
  const tls = { ca: api.ca.ca, cert: readFileSync(cert_file), key: readFileSync(key_file), agent: false };
  const body = Buffer.from(bytesOf([1]));
  const half = request(new URL('/v1/envelopes', api.url), { method: 'POST', ...tls });
  half.setHeader('content-length', body.length);
  half.write(body.subarray(0, 10));
  const [error] = await once(half, 'error');
  t.match(error, { code: 'ECONNRESET' });
  t.match(await ask(api, { certificate: { cert_file, key_file }, body }), { status: 200 });
});

t.test('an IPv6 /64 is one address', async (t) => {
  t.equal(networkOf('10.0.0.1'), '10.0.0.1');
  t.equal(networkOf('::ffff:10.0.0.1'), '10.0.0.1');
  t.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  t.equal(networkOf('2001:db8:1:2::7'), '2001:db8:1:2');
  t.equal(networkOf('2001:db8::7'), '2001:db8:0:0');
  t.equal(networkOf('::1'), '0:0:0:0');
  t.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0');
  t.equal(networkOf(''), '');
});
