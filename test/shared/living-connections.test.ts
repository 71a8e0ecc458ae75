import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { createCertificateAuthority, type KeyAndCertificate } from '../../loopback/ca.ts';
import { systemClock } from '../../shared/clock.ts';
import { systemEntropy } from '../../shared/entropy.ts';
import { LivingConnections } from '../../shared/living-connections.ts';
import { createLogger } from '../../shared/log.ts';
import { readTlsFiles, type TlsFiles } from '../../shared/tls-files.ts';
import { ManualClock } from '../manual-clock.ts';
import { testDir } from '../test-dir.ts';

const DAY_MS = 86_400_000;
const authority = await createCertificateAuthority(systemClock, systemEntropy);
const other = await createCertificateAuthority(systemClock, systemEntropy);
const server = await authority.issue('server', 'server');
const sessions = new WeakMap<TLSSocket, Buffer>();

interface Fixture {
  dir: string;
  living: LivingConnections;
  clock: ManualClock;
  lines: string[];
  port: number;
  connected(client: Partial<KeyAndCertificate>, more?: object): Promise<TLSSocket>;
}

/** A real TLS server that takes client certificates of `authority`. */
async function started(t: Test, maxAgeMs: number | null, asks = true): Promise<Fixture> {
  const dir = testDir(t, {
    'cert.pem': server.cert,
    'key.pem': server.key,
    'ca.pem': authority.ca,
    'crl.pem': await authority.revoke([]),
  });
  const files: TlsFiles = {
    certFile: join(dir, 'cert.pem'),
    keyFile: join(dir, 'key.pem'),
    ...(asks ? { clientCaFile: join(dir, 'ca.pem'), clientCrlFile: join(dir, 'crl.pem') } : {}),
  };
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  const clock = new ManualClock(systemClock.wallMs());
  const living = new LivingConnections({ files, maxAgeMs, component: 'test', clock, log });
  living.start();
  const listening = createServer(
    { ...(await readTlsFiles(files)), requestCert: asks, rejectUnauthorized: false },
    (socket) => {
      living.add(socket);
      socket.on('error', () => undefined).write('taken');
    },
  ).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const open: TLSSocket[] = [];
  t.teardown(() => {
    living.stop();
    for (const socket of open) socket.destroy();
    listening.close();
  });
  const connected: Fixture['connected'] = async (client, more = {}) => {
    const socket = connect({ port, host: '127.0.0.1', ca: authority.ca, ...client, ...more });
    open.push(socket);
    socket.on('session', (session: Buffer) => void sessions.set(socket, session));
    // A ticket of TLS 1.3 may come after the data; a resumed session of TLS 1.2 brings none.
    const ready = [once(socket, 'data'), ...('session' in more ? [] : [once(socket, 'session')])];
    await Promise.all(ready);
    return socket;
  };
  return { dir, living, clock, lines, port, connected };
}

for (const [asks, version] of [
  [false, 'TLSv1.2'],
  [false, 'TLSv1.3'],
  [true, 'TLSv1.2'],
  [true, 'TLSv1.3'],
] satisfies Array<[boolean, SecureVersion]>) {
  t.test(`${version}: a session is resumed only where no certificate is asked for: ${!asks}`, async (t) => {
    const { connected } = await started(t, null, asks);
    const client = await authority.issue('pump-1', 'client');
    const only = { minVersion: version, maxVersion: version };
    const socket = await connected(client, only);
    const session = sessions.get(socket);
    const again = await connected(client, { ...only, session });
    t.equal(again.isSessionReused(), !asks);
  });
}

t.test('a certificate that has run out ends its connection', async (t) => {
  const { connected, clock, lines } = await started(t, null);
  const socket = await connected(await authority.issue('pump-1', 'client'));
  await clock.advance(9 * DAY_MS);
  t.notOk(socket.destroyed);
  const closed = once(socket, 'close');
  await clock.advance(2 * DAY_MS);
  await closed;
  t.match(lines.join(''), /"event":"test.connection_ended","reason":"expired"/);
});

t.test('the greatest age, with and without a certificate', async (t) => {
  const { connected, clock, lines } = await started(t, 3_600_000);
  const sockets = [await connected(await authority.issue('pump-1', 'client')), await connected({})];
  await clock.advance(3_540_000);
  t.notOk(sockets[0]?.destroyed);
  const closed = sockets.map((socket) => once(socket, 'close'));
  await clock.advance(120_000);
  await Promise.all(closed);
  t.equal(lines.length, 0, 'no warning: it is the rule');
});

t.test('new files: a revoked certificate, then an authority that is gone', async (t) => {
  const { dir, living, connected, lines } = await started(t, null);
  const pumps = [
    await authority.issue('pump-1', 'client'),
    await authority.issue('pump-2', 'client'),
  ] as const;
  const [first, second] = [await connected(pumps[0]), await connected(pumps[1])];
  await living.recheck();
  writeFileSync(join(dir, 'crl.pem'), `of today\n${await authority.revoke([pumps[0].cert])}`);
  const revoked = once(first, 'close');
  await living.recheck();
  await revoked;
  t.notOk(second.destroyed);
  writeFileSync(join(dir, 'ca.pem'), 'no certificate at all');
  writeFileSync(join(dir, 'crl.pem'), '-----BEGIN X509 CRL-----\nMII=\n-----END X509 CRL-----');
  await living.recheck();
  t.match(lines.join(''), /test.certificates_not_checked/);
  t.notOk(second.destroyed, 'files that cannot be read end nothing');
  writeFileSync(join(dir, 'ca.pem'), other.ca);
  writeFileSync(join(dir, 'crl.pem'), await other.revoke([]));
  const gone = once(second, 'close');
  await living.recheck();
  await gone;
  t.match(lines.join(''), /"reason":"revoked".*"reason":"authority"/s);
});
