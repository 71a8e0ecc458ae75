/**
 * Credentials of the other providers: certificates and keys in files, renewed in place, and passwords (I9).
 */

import { createHmac, X509Certificate } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sasExpiryMs } from '../../../../agent/providers/azure/connection-string.ts';
import { refusesCertificate } from '../../../../agent/providers/certificates.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { attempt } from '../../../attempt.ts';
import { ForwardClock } from '../../../forward-clock.ts';
import { startAzure } from '../../../loopback/azure-fixture.ts';
import { startGcp } from '../../../loopback/gcp-support.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { startBroker } from '../mqtt/support.ts';
import { brief, envelope, open, publishUntil } from './support.ts';

const HUB = 'headgate.azure-devices.net';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

t.test('MQTT: a password revoked under load, and both wrong until one is restored', async (t) => {
  const broker = await startBroker(t);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const login = { username: 'gw-1', password: 'first-password' };
  const next_credentials = { username: 'gw-1', password: 'second-password' };
  const opened = open(t, { name: 'plant', type: 'mqtt', url, ...login, next_credentials });
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(3000))), 'accepted');
  broker.revoke(login.password);
  await publishUntil(opened, 4, () => opened.publisher.credentials().inUse === 'next_credentials');
  t.match(opened.publisher.credentials(), { inUse: 'next_credentials', standing: 'accepted' });

  broker.revoke(next_credentials.password);
  const state = () => opened.publisher.credentials().standing;
  await publishUntil(opened, 1, () => state() === 'refused');
  t.match(opened.told().join(), /all-refused/);
  broker.restore(login.password);
  await publishUntil(opened, 1, () => state() === 'accepted');
  t.match(opened.publisher.credentials(), { inUse: 'credentials' });
  t.notMatch(opened.lines.join(''), /first-password|second-password/);
});

t.test('Azure: a certificate near its end; one connection at a time, so that nothing is cut', async (t) => {
  const time = new ForwardClock();
  time.advance(-HOUR_MS);
  const ca = await createCertificateAuthority(time, systemEntropy);
  const { cloud, caFile } = await startAzure(t, { ca });
  cloud.registerX509Device('gw-x');
  const gateway = /GatewayHostName=([^;"]+)/.exec(JSON.stringify(cloud.agentConfig('gw-1')))?.[1];
  const old = await ca.issue('gw-x', 'client');
  // Only one that ends later is worth a change.
  time.advance(HOUR_MS);
  const young = await ca.issue('gw-x', 'client');
  // One folder per test: the authority's file is made again with it.
  const files = {
    'ca.pem': ca.ca,
    'cert.pem': old.cert,
    'key.pem': old.key,
    'next.pem': young.cert,
    'next-key.pem': young.key,
  };
  const dir = testDir(t, files);
  const x509 = (cert: string, key: string) => ({
    x509: {
      host_name: HUB,
      gateway_host_name: gateway,
      device_id: 'gw-x',
      cert_file: join(dir, cert),
      key_file: join(dir, key),
    },
  });
  const entry = {
    name: 'azure',
    type: 'azure',
    region: 'westeurope',
    ca_file: caFile,
    credentials: x509('cert.pem', 'key.pem'),
  };
  await t.test('a renewed file is proven beside the old one, and a bad one changes nothing', async (t) => {
    const opened = open(t, entry);
    t.equal(brief(await opened.publisher.publish(envelope('x', 'gw-x'), attempt(5000))), 'accepted');
    const { expiresMs } = opened.publisher.credentials();
    t.equal(expiresMs, Date.parse(new X509Certificate(old.cert).validTo), 'the end is notAfter');
    const stranger = await ca.issue('gw-y', 'client');
    replace(join(dir, 'cert.pem'), stranger.cert);
    replace(join(dir, 'key.pem'), stranger.key);
    await until('the renewal is told', () => opened.told().includes('credentials renewed'));
    await publishAs('gw-x', opened, 'credentials refused');
    t.match(
      opened.publisher.credentials(),
      { standing: 'accepted' },
      'the old one, which is loaded, still serves',
    );
    replace(join(dir, 'cert.pem'), old.cert);
    replace(join(dir, 'key.pem'), old.key);
    await publishAs('gw-x', opened, 'credentials in-use');
  });
  await t.test('next_credentials take over before the end, under load, without one failure', async (t) => {
    const opened = open(t, { ...entry, next_credentials: x509('next.pem', 'next-key.pem') });
    const before = cloud.meter().accepted;
    let enough = Number.POSITIVE_INFINITY;
    const kinds = new Set<string>();
    const work = async (): Promise<void> => {
      while (cloud.meter().accepted < enough)
        kinds.add(brief(await opened.publisher.publish(envelope('x', 'gw-x'), attempt(5000))));
    };
    const working = Promise.all([work(), work(), work(), work()]);
    await until('20 publishes are accepted', () => cloud.meter().accepted > before + 20);
    opened.setWall(systemClock.wallMs() + 9 * DAY_MS);
    await until('the next ones take over', () => opened.publisher.credentials().inUse === 'next_credentials');
    enough = cloud.meter().accepted + 50;
    await working;
    t.same([...kinds], ['accepted']);
    t.match(opened.publisher.credentials(), { inUse: 'next_credentials', standing: 'accepted' });
  });
});

t.test('Azure: a token made elsewhere, with its end', async (t) => {
  const { cloud } = await startAzure(t);
  const text = JSON.stringify(cloud.agentConfig('gw-1')['credentials']);
  const key = Buffer.from(/SharedAccessKey=([^;]+);/.exec(text)?.[1] ?? '', 'base64');
  const endSeconds = Math.floor(systemClock.wallMs() / 1000) + 3600;
  const token = sign(`${HUB}/devices/gw-1`, key, endSeconds);
  const connection_string = text
    .replace(/.*"(HostName=[^"]+)".*/, '$1')
    .replace(/SharedAccessKey=[^;]+/, `SharedAccessSignature=${token}`);
  t.equal(sasExpiryMs(connection_string), endSeconds * 1000);
  t.equal(sasExpiryMs(connection_string.replace(/se=\d+/, 'se=99999999999999999')), null, 'as good as never');
  t.equal(sasExpiryMs(connection_string.replace(/&se=\d+/, '')), null);
  const opened = open(t, { ...cloud.agentConfig('gw-1'), credentials: { connection_string } });
  t.equal(brief(await opened.publisher.publish(envelope(), attempt(5000))), 'accepted');
  t.equal(opened.publisher.credentials().expiresMs, endSeconds * 1000);
  t.notMatch(opened.lines.join(''), /sig=/);
});

t.test('Google: a key file that is wrong, then replaced; one that is missing', async (t) => {
  const { cloud, directory, agent } = await startGcp(t);
  const file = join(directory, 'key.json');
  writeFileSync(file, 'SECRET{');
  const entry = { ...cloud.agentConfig('gw-1'), credentials: { key_file: file } };
  const opened = open(t, entry);
  t.match(await opened.publisher.publish(envelope(), attempt(3000)), {
    kind: 'rejected',
    cause: 'unauthorized',
  });
  t.equal(opened.publisher.credentials().standing, 'refused');
  replace(file, JSON.stringify(agent.credentials));
  t.equal(
    brief(await opened.publisher.publish(envelope(), attempt(3000))),
    'accepted',
    'read again when refused',
  );
  t.notMatch(opened.lines.join(''), /PRIVATE KEY|SECRET\{/);

  const key_file = join(directory, 'none.json');
  const other = open(t, { ...entry, credentials: { key_file }, next_credentials: { key_file: file } });
  t.equal(brief(await other.publisher.publish(envelope(), attempt(3000))), 'accepted');
  t.equal(other.publisher.credentials().inUse, 'next_credentials');
});

t.test('an alert against our certificate is a refusal; our doubt about theirs is none', (t) => {
  for (const code of [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
    'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
    'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  ])
    t.ok(refusesCertificate(code), code);
  for (const code of [
    'CERT_HAS_EXPIRED',
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'SELF_SIGNED_CERT_IN_CHAIN',
  ])
    t.notOk(refusesCertificate(code), code);
  t.end();
});

/** A token for a resource of a hub ("Control access to IoT Hub with shared access signatures"). */
function sign(resource: string, key: Buffer, endSeconds: number): string {
  const sr = encodeURIComponent(resource);
  const sig = encodeURIComponent(createHmac('sha256', key).update(`${sr}\n${endSeconds}`).digest('base64'));
  return `SharedAccessSignature sr=${sr}&sig=${sig}&se=${endSeconds}`;
}

/** As a renewal does it: the whole file or the old one. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

async function publishAs(gateway: string, opened: ReturnType<typeof open>, told: string): Promise<void> {
  await until(`told: ${told}`, async () => {
    if (opened.told().at(-1) === told) return true;
    await opened.publisher.publish(envelope('x', gateway), attempt(3000));
    return false;
  });
}
