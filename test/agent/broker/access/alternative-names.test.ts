import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { alternativeNames } from '../../../../agent/broker/access/alternative-names.ts';
import { createCertificateAuthority } from '../../../../loopback/ca.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { systemEntropy } from '../../../../shared/entropy.ts';

t.test('plain names, and quoted ones without their value', async (t) => {
  const dns = { label: 'DNS', value: 'pump-1' };
  t.strictSame(alternativeNames(undefined), []);
  t.strictSame(alternativeNames('DNS:pump-1'), [dns]);
  t.strictSame(alternativeNames('DNS:'), [{ label: 'DNS', value: '' }]);
  t.strictSame(alternativeNames('IP Address:127.0.0.1, DNS:pump-1, othername:<unsupported>'), [
    { label: 'IP Address', value: '127.0.0.1' },
    dns,
    { label: 'othername', value: '<unsupported>' },
  ]);
  t.strictSame(alternativeNames('DirName:"L=b\\u002cCN=\\"DNS:x, DNS:y", DNS:pump-1'), [
    { label: 'DirName', value: null },
    dns,
  ]);
});

t.test('a text that is not understood is not read in part', async (t) => {
  for (const text of [
    'DNS:pump-1,DNS:x',
    'DNS:pump-1 ,',
    'DNS:pump-1, x',
    'x, DNS:pump-1',
    'DNS:pump-1, URI:"urn:x',
    'DNS:pump-1, URI:"urn:x" y',
    'DNS:pump"1',
    ' DNS:pump-1',
  ])
    t.equal(alternativeNames(text), null, text);
});

t.test('what Node writes: its labels, and its quotes', async (t) => {
  const authority = await createCertificateAuthority(systemClock, systemEntropy);
  const { cert } = await authority.issue('x', 'client', [
    { type: 'dns', value: 'a' },
    { type: 'url', value: 'urn:b' },
    { type: 'email', value: 'c@d' },
    { type: 'ip', value: '127.0.0.1' },
    { type: 'dns', value: 'a, DNS:b' },
    { type: 'url', value: 'urn:"' },
  ]);
  t.strictSame(alternativeNames(new X509Certificate(cert).subjectAltName), [
    { label: 'DNS', value: 'a' },
    { label: 'URI', value: 'urn:b' },
    { label: 'email', value: 'c@d' },
    { label: 'IP Address', value: '127.0.0.1' },
    { label: 'DNS', value: null },
    { label: 'URI', value: null },
  ]);
});
