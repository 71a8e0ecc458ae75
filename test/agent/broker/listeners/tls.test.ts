import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import t from 'tap';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { loggedIn, login, PASSWORD, startGated, writeFiles } from '../access/devices-fixture.ts';
import { authority, server, startTls, stranger, trusting } from './tls-fixture.ts';

t.test('TLS with passwords; never anonymous', async (t) => {
  const { port, taken, broker, lines } = await startTls(t, 'password');
  const client = await loggedIn(t, 'pump-1', { port, ...trusting });
  await client.publishAsync('devices/pump-1/x', 'x', { qos: 1 });
  t.equal(taken.length, 1);
  t.equal(await login(t, { port, ...trusting, clientId: 'any' }), 5, 'anonymous');
  t.equal(
    await login(t, { port, ...trusting, clientId: 'pump-1', username: 'pump-1', password: 'no-no-no' }),
    4,
  );
  const old = connectTls({
    port,
    host: '127.0.0.1',
    ca: authority.ca,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  });
  await t.rejects(once(old, 'secureConnect'), 'older than TLS 1.2');
  t.equal(await login(t, { port, clientId: 'pump-1', username: 'pump-1', password: PASSWORD }), -1, 'no TLS');
  await until('refusals: certificate', () => (broker.stats().refusals.certificate ?? 0) >= 1);
  t.notMatch(lines.join(''), /PRIVATE KEY/);
});

t.test('ciphers: authenticated, with forward secrecy; also after a new certificate', async (t) => {
  const { port, dir, lines } = await startTls(t, 'password');
  const negotiated = async (ciphers: string, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<string> => {
    const socket = connectTls({ port, host: '127.0.0.1', ca: authority.ca, ciphers, maxVersion });
    try {
      await once(socket, 'secureConnect');
      return socket.getCipher().name;
    } finally {
      socket.destroy();
    }
  };
  const refusesCbc = async (): Promise<void> => {
    // The server's certificate is of ECDSA.
    for (const cbc of [
      'ECDHE-ECDSA-AES128-SHA256',
      'ECDHE-ECDSA-AES256-SHA384',
      'ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA',
    ])
      await t.rejects(negotiated(cbc, 'TLSv1.2'), /handshake failure/i, cbc);
  };
  await refusesCbc();
  for (const aead of [
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ])
    t.equal(await negotiated(aead, 'TLSv1.2'), aead);
  for (const suite of ['TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'])
    t.equal(await negotiated(suite, 'TLSv1.3'), suite);
  const next = await authority.issue('gateway', 'server');
  writeFiles(dir, { 'key.pem': next.key, 'cert.pem': next.cert });
  await until('broker.certificate_reloaded is logged', () =>
    lines.some((line) => line.includes('broker.certificate_reloaded')),
  );
  await refusesCbc();
});

t.test('connections over the rate are ended before the handshake, and failed handshakes count', async (t) => {
  const { port, broker } = await startTls(t, 'password', { limits: { maxConnectRatePerAddress: 1 } });
  const hello = 'GET / HTTP/1.1\r\n\r\n'; // No ClientHello.
  for (let i = 1; i <= 4; i++) {
    const socket = connect(port, '127.0.0.1', () => socket.write(hello));
    socket.on('error', () => undefined).resume();
    await until('refusals: certificate', () => broker.stats().refusals.certificate === i);
  }
  // They send nothing, so only their arrival can end them.
  const silent = Array.from({ length: 10 }, () => connect(port, '127.0.0.1'));
  for (const socket of silent) socket.on('error', () => undefined).resume();
  await until('the broker ends connections', () => silent.filter(({ destroyed }) => destroyed).length >= 5);
  t.ok((broker.stats().refusals['connect-rate'] ?? 0) >= 5);
  t.equal(broker.stats().connections, 0);
  for (const socket of silent) socket.destroy();
});

t.test('a certificate: its common name is the device', async (t) => {
  const { port, broker } = await startTls(t, 'certificate');
  const tried = async (name: string, from = authority, rest = {}) => {
    const certificate = await from.issue(name, 'client');
    return login(t, { port, ...trusting, ...certificate, clientId: name, ...rest });
  };
  t.type(await tried('pump-1'), 'object');
  t.type(await tried('pump-1', authority, { clientId: 'pump-1/b', username: 'pump-1' }), 'object');
  t.equal(await tried('pump-1', authority, { clientId: 'pump-2' }), 2, 'the id of another');
  t.equal(
    await tried('pump-1', authority, { username: 'pump-2', password: PASSWORD }),
    5,
    'the name of another',
  );
  t.equal(await tried('nobody'), 5);
  t.equal(await tried('off'), 5);
  t.equal(await tried('pump-1', stranger), -1, 'of another authority');
  const bare = { port, ...trusting, clientId: 'pump-1', username: 'pump-1', password: PASSWORD };
  t.equal(await login(t, bare), -1, 'a password does not help');
  t.match(broker.stats().refusals, { 'client-id': 1, disabled: 1 });
});

t.test('either: a certificate, or a password', async (t) => {
  const { port } = await startTls(t, 'either');
  const certificate = await authority.issue('pump-1', 'client');
  t.type(await login(t, { port, ...trusting, ...certificate, clientId: 'pump-1' }), 'object');
  await loggedIn(t, 'pump-2', { port, ...trusting });
  t.equal(await login(t, { port, ...trusting, clientId: 'pump-1' }), 5, 'neither');
  const foreign = await stranger.issue('pump-1', 'client');
  t.equal(
    await login(t, {
      port,
      ...trusting,
      ...foreign,
      clientId: 'pump-1',
      username: 'pump-1',
      password: PASSWORD,
    }),
    -1,
    'a certificate of another authority is never just ignored',
  );
});

t.test('new certificates are taken without dropping a session; half of a pair is not', async (t) => {
  const { port, dir, lines } = await startTls(t, 'password');
  const serial = async (): Promise<string> => {
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', ca: authority.ca });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const client = await loggedIn(t, 'pump-1', { port, ...trusting });
  const before = await serial();
  const next = await authority.issue('gateway', 'server');
  writeFiles(dir, { 'cert.pem': next.cert });
  await until('broker.certificate_refused is logged', () =>
    lines.some((line) => line.includes('broker.certificate_refused')),
  );
  t.equal(await serial(), before, 'the old pair while the new one is not whole');
  writeFiles(dir, { 'new.pem': next.key });
  copyFileSync(join(dir, 'new.pem'), join(dir, 'key.pem'));
  await until('broker.certificate_reloaded is logged', () =>
    lines.some((line) => line.includes('broker.certificate_reloaded')),
  );
  t.not(await serial(), before);
  await client.publishAsync('devices/pump-1/x', 'x', { qos: 1 });
  t.ok(client.connected);
});

t.test('a revoked certificate: its connection ends, and it does not come back', async (t) => {
  const { port, dir, lines } = await startTls(t, 'certificate', { revocations: true });
  const certificates = {
    'pump-1': await authority.issue('pump-1', 'client'),
    'pump-2': await authority.issue('pump-2', 'client'),
  };
  const logIn = (name: keyof typeof certificates) =>
    login(t, { port, ...trusting, ...certificates[name], clientId: name, reconnectPeriod: 0 });
  const revoked = await logIn('pump-1');
  const other = await logIn('pump-2');
  if (typeof revoked === 'number' || typeof other === 'number') throw new Error('a device was refused');
  writeFiles(dir, { 'crl.pem': await authority.revoke([certificates['pump-1'].cert]) });
  await until('the connection of the revoked one ends', () => !revoked.connected);
  t.match(lines.join(''), /broker.connection_ended","reason":"revoked"/);
  t.equal(await logIn('pump-1'), -1);
  t.ok(other.connected);
  await other.publishAsync('devices/pump-2/x', 'x', { qos: 1 });
});

t.test('stop does not wait for a handshake that never comes', async (t) => {
  const { port, broker } = await startTls(t, 'password');
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  await broker.stop();
  socket.destroy();
});

t.test('files that are no pair: the listener says so, and does not listen', async (t) => {
  const dir = testDir(t, { 'cert.pem': server.cert, 'key.pem': (await authority.issue('x', 'server')).key });
  const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
  const tls = { ...files, auth: 'password' as const, deviceName: 'cn' as const };
  const listeners = [{ type: 'tls' as const, host: '127.0.0.1', port: 0, tls }];
  const { broker } = await startGated(t, {}, { listeners });
  t.match(broker.listeners(), [{ error: /key/i }]);
  t.same(broker.addresses(), []);
});
