import t from 'tap';
import { changeRefusal, readRefusal } from '../../shared/admin-changes.ts';

t.test('changes come from a program on this machine', async (t) => {
  const refusal = (ip: string, headers: Record<string, string> = {}): string | null =>
    changeRefusal({ ip, headers: { host: '127.0.0.1:9464', ...headers } });
  t.equal(refusal('127.0.0.1'), null);
  t.equal(refusal('::1', { host: '[::1]:9464' }), null);
  t.equal(refusal('::ffff:127.0.0.1', { host: 'localhost:9464' }), null);
  t.match(refusal('192.168.1.7'), 'this machine alone');
  t.match(refusal('::ffff:10.0.0.1'), 'this machine alone');
  t.match(refusal('127.0.0.1', { origin: 'http://127.0.0.1:9464' }), 'browser');
  t.match(refusal('127.0.0.1', { 'sec-fetch-site': 'cross-site' }), 'browser');
  for (const host of ['rebound.example:9464', 'x@127.0.0.1', '127.0.0.1.example', '', 'a b'])
    t.match(refusal('127.0.0.1', { host }), 'under the name of this machine');
});

t.test('reads under an address or a known name: no page whose DNS name points here', async (t) => {
  const refusal = (host?: string): string | null =>
    readRefusal(host === undefined ? {} : { host }, ['gw-7', 'Monitor.example']);
  for (const host of [
    '127.0.0.1:9464',
    '10.1.2.3',
    '[fd00::1]:9464',
    'localhost',
    'gw-7:9464',
    'monitor.example',
  ])
    t.equal(refusal(host), null, host);
  t.equal(refusal(), null, 'HTTP/1.0');
  for (const host of ['rebound.example:9464', 'x@127.0.0.1', '127.0.0.1.example', 'gw-7.example', '', 'a b'])
    t.match(refusal(host), 'admin.host_names', host);
});
