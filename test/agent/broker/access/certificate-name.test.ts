/**
 * Which device a certificate names, and a certificate with a password beside it: over real TLS, with
 * certificates made for it.
 */
import t, { type Test } from 'tap';
import type { DeviceNameField } from '../../../../agent/broker/access/certificate-name.ts';
import { hashPassword } from '../../../../agent/broker/access/password.ts';
import type { AlternativeName } from '../../../../loopback/ca.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';
import { authority, startTls, stranger, trusting } from '../listeners/tls-fixture.ts';
import { device, type Gated, login, PASSWORD } from './devices-fixture.ts';

const URN = 'urn:device:pump-1';
const EMAIL = 'pump-1@plant.example';
const DEVICES = ['pump-1', 'pump-2', 'pump-1.plant.example', URN, EMAIL].map((name) => device(name));
const dns = (value: string): AlternativeName => ({ type: 'dns', value });

/** A login with a certificate for `names`; the client or the return code. */
async function tried(
  t: Test,
  { port }: Gated,
  clientId: string,
  names: readonly AlternativeName[],
  rest: { commonName?: string; username?: string; password?: string } = {},
) {
  const { commonName = 'batch 7', ...credentials } = rest;
  const certificate = await authority.issue(commonName, 'client', names);
  return login(t, { port, ...trusting, ...certificate, clientId, ...credentials });
}

t.test('a DNS name, a URI or an e-mail address is the device, as a whole', async (t) => {
  const named: Array<[DeviceNameField, AlternativeName['type'], string]> = [
    ['san_dns', 'dns', 'pump-1.plant.example'],
    ['san_uri', 'url', URN],
    ['san_email', 'email', EMAIL],
  ];
  for (const [deviceName, type, value] of named) {
    const gated = await startTls(t, 'certificate', { deviceName, devices: DEVICES });
    t.type(await tried(t, gated, value, [{ type, value }]), 'object', deviceName);
    const others = [dns('pump-2'), { type: 'url' as const, value: 'urn:device:pump-2' }];
    const beside = others.filter((other) => other.type !== type);
    t.type(await tried(t, gated, `${value}/b`, [{ type, value }, ...beside]), 'object', 'beside other kinds');
    t.equal(await tried(t, gated, 'pump-2', [{ type, value }]), 2, 'the id of another');
    t.equal(
      await tried(t, gated, 'pump-1', [], { commonName: 'pump-1' }),
      5,
      'its common name counts no more',
    );
    t.equal(
      await tried(t, gated, value, [
        { type, value },
        { type, value },
      ]),
      5,
      'twice',
    );
  }
});

t.test('two names of the kind name nobody, in whatever order and whoever is known', async (t) => {
  const gated = await startTls(t, 'certificate', { deviceName: 'san_dns', devices: DEVICES });
  const both = [dns('pump-1'), dns('pump-2')];
  for (const names of [both, both.toReversed(), [dns('pump-1'), dns('not-known')]]) {
    for (const clientId of ['pump-1', 'pump-2']) t.equal(await tried(t, gated, clientId, names), 5);
  }
  t.equal(gated.broker.stats().refusals.certificate, 6);
  t.match(gated.lines.join(''), /the certificate has 2 names of kind san_dns where one is expected/);
});

t.test('what a value could be taken for is not what it is (CVE-2021-44532)', async (t) => {
  const gated = await startTls(t, 'certificate', { deviceName: 'san_dns', devices: DEVICES });
  const hostile = [
    'x, DNS:pump-1',
    'pump-1, DNS:x',
    'pump-1\0.example',
    '"pump-1"',
    'pump-1\n',
    'PUMP-1',
    '*',
  ];
  for (const value of hostile) t.equal(await tried(t, gated, 'pump-1', [dns(value)]), 5, value);
  const inUri: AlternativeName = { type: 'url', value: 'urn:x, DNS:pump-1' };
  t.equal(await tried(t, gated, 'pump-1', [inUri]), 5, 'in a name of another kind');
  t.type(
    await tried(t, gated, 'pump-1', [inUri, dns('pump-1')]),
    'object',
    'a quoted name beside the plain one',
  );
  t.equal(await tried(t, gated, 'pump-1', [dns('x, y'), dns('pump-1')]), 5, 'a quoted name is a name');
  t.equal(await tried(t, gated, 'pump-1', []), 5, 'none at all');
});

t.test('both: the certificate and the password of the same device', async (t) => {
  const gated = await startTls(t, 'both', { deviceName: 'san_uri', devices: DEVICES });
  const { port, broker, lines } = gated;
  const own: AlternativeName[] = [{ type: 'url', value: URN }];
  const password = PASSWORD;
  t.type(await tried(t, gated, URN, own, { username: URN, password }), 'object');
  t.equal(await tried(t, gated, URN, own, { username: URN, password: 'a-wrong-one' }), 4, 'a wrong password');
  t.equal(await tried(t, gated, URN, own, { username: URN }), 4, 'no password');
  t.equal(await tried(t, gated, URN, own), 5, 'no username');
  for (const clientId of [URN, 'pump-2'])
    t.equal(
      await tried(t, gated, clientId, own, { username: 'pump-2', password }),
      5,
      'the login of another',
    );
  t.equal(
    await tried(t, gated, 'pump-2', [], { username: 'pump-2', password }),
    5,
    'a certificate of nobody',
  );
  const bare = { port, ...trusting, clientId: URN, username: URN, password };
  t.equal(await login(t, bare), -1, 'no certificate');
  t.equal(await login(t, { ...bare, ...(await stranger.issue(URN, 'client', own)) }), -1, 'a foreign one');
  t.match(broker.stats().refusals, { 'bad-credentials': 2, 'identity-mismatch': 2, anonymous: 1 });
  const said = lines.filter((line) => line.includes('identity-mismatch')).join('');
  t.match(said, /the certificate is that of urn:device:pump-1/);
  t.notMatch(lines.join(''), new RegExp(`${PASSWORD}|a-wrong-one|PRIVATE KEY|BEGIN CERT`), 'no secrets');
});

t.test('both: a new password and a device that is switched off end the connection', async (t) => {
  const password = await hashPassword('another-horse-2', systemEntropy);
  for (const change of [{ password }, { disabled: true }]) {
    const gated = await startTls(t, 'both', { devices: DEVICES });
    const credentials = { username: 'pump-1', password: PASSWORD };
    const client = await tried(t, gated, 'pump-1', [], { commonName: 'pump-1', ...credentials });
    if (typeof client === 'number') throw new Error(`refused with ${client}`);
    const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
    await gated.write({ devices: [device('pump-1', change)] });
    await ended;
    t.match(gated.lines.join(''), /broker.session_ended/);
  }
});
