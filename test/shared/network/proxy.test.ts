/** Which proxy a connection takes. */
import t from 'tap';
import { networkAccess } from '../../../shared/network/options.ts';
import { proxyFor, proxyText } from '../../../shared/network/proxy.ts';

const TLS = { host: 'iot.example.com', port: 443, isSecure: true };
const PLAIN = { ...TLS, port: 80, isSecure: false };
const ENV = { HTTPS_PROXY: 'http://secure:3128', HTTP_PROXY: 'plain:8080' };

t.test('the entry goes before the environment', (t) => {
  t.match(proxyFor(TLS, 'http://own:1', ENV), { host: 'own', port: 1 });
  t.equal(proxyFor(TLS, 'none', ENV), null);
  t.match(proxyFor(TLS, undefined, ENV), {
    host: 'secure',
    port: 3128,
    isSecure: false,
    authorization: null,
  });
  t.match(proxyFor(PLAIN, undefined, ENV), { host: 'plain', port: 8080 }, 'without a scheme, as curl has it');
  t.equal(proxyFor(TLS, undefined, { HTTP_PROXY: 'http://plain:1' }), null);
  t.equal(proxyFor(TLS, undefined, { HTTPS_PROXY: '' }), null);
  t.match(proxyFor(TLS, undefined, { ...ENV, https_proxy: 'http://small:1' }), { host: 'small' });
  t.match(proxyFor(TLS, 'https://[::1]', {}), { host: '::1', port: 443, isSecure: true });
  t.end();
});

t.test('its login is a header, and nowhere else', (t) => {
  const proxy = proxyFor(TLS, 'http://edge:s%40cret@own:3128', {});
  t.equal(proxy?.authorization, `Basic ${Buffer.from('edge:s@cret').toString('base64')}`);
  t.equal(proxy && proxyText(proxy), 'own:3128');
  t.throws(() => proxyFor(TLS, undefined, { HTTPS_PROXY: 'socks5://edge:secret@own:1' }), {
    message: 'HTTPS_PROXY: expected http://host:port',
  });
  t.end();
});

t.test('NO_PROXY, by curl’s rules', (t) => {
  const isDirect = (list: string, host: string, port = 443): boolean =>
    proxyFor({ host, port, isSecure: true }, undefined, { ...ENV, NO_PROXY: list }) === null;
  const cases: Array<[string, string, boolean]> = [
    ['*', 'iot.example.com', true],
    ['example.com', 'iot.example.com', true],
    ['.example.com', 'iot.example.com', true],
    ['*.example.com', 'iot.example.com', true],
    ['EXAMPLE.com', 'iot.Example.com', true],
    ['other.test, example.com', 'iot.example.com', true],
    ['ample.com', 'iot.example.com', false],
    ['iot.example.com.test', 'iot.example.com', false],
    ['example.com:443', 'iot.example.com', true],
    ['example.com:8443', 'iot.example.com', false],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/8', 'ten.example.com', false],
    ['192.0.2.7', '192.0.2.7', true],
    ['2001:db8::/32', '2001:db8::7', true],
    ['[2001:db8::7]:443', '2001:db8::7', true],
    ['2001:db8::7', '2001:db8::7', true],
    ['', 'iot.example.com', false],
  ];
  for (const [list, host, expected] of cases) t.equal(isDirect(list, host), expected, `${list} → ${host}`);
  for (const host of ['localhost', '127.0.0.1', '::1']) t.ok(isDirect('', host), `${host} is this machine`);
  t.end();
});

t.test('the configuration names what is no proxy and no address', (t) => {
  const { proxy, local_address } = networkAccess;
  for (const text of ['none', 'http://proxy:3128', 'https://u:p@proxy:3128/'])
    t.ok(proxy.safeParse(text).success, text);
  for (const text of ['proxy:3128', 'socks5://proxy:1080', 'http://', 'http://proxy/path'])
    t.notOk(proxy.safeParse(text).success, text);
  for (const text of ['192.0.2.1', 'fd00::1', 'wwan0', 'eth0.7'])
    t.ok(local_address.safeParse(text).success, text);
  for (const text of ['http://192.0.2.1', 'an interface', 'averylonginterface'])
    t.notOk(local_address.safeParse(text).success, text);
  t.end();
});
