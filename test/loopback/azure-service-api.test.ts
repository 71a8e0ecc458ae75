/** The loopback hub's service API: rights, limits of a twin, and the notice to the device. */
import sdk from 'azure-iot-device';
import transport from 'azure-iot-device-mqtt';
import t from 'tap';
import { until } from '../until.ts';
import { startAzure } from './azure-fixture.ts';
import { type Asked, ask, tokenOf } from './azure-service-client.ts';

const desired = (patch: object) => ({ properties: { desired: patch } });

t.test('a twin is read and patched by whoever has the policy’s key', async (t) => {
  const fixture = await startAzure(t);
  fixture.cloud.agentConfig('gw-1');
  const { token } = tokenOf(fixture);
  const cases: Array<[string, Asked, number]> = [
    ['a patch', { body: desired({ a: { b: 1, c: 2 } }) }, 200],
    ['another', { body: desired({ a: { b: null, d: [1, 2] } }) }, 200],
    ['a read', { method: 'GET' }, 200],
    ['no token', { method: 'GET', token: '' }, 401],
    ['another signature', { method: 'GET', token: token.replace(/sig=[^&]+/, 'sig=AAAA') }, 401],
    ['another policy', { method: 'GET', token: token.replace('skn=service', 'skn=device') }, 401],
    ['no version of the API', { path: '/twins/gw-1', body: desired({}) }, 400],
    ['a device nobody registered', { path: '/twins/gw-9?api-version=1', body: desired({}) }, 404],
    ['no desired properties', { body: { tags: {} } }, 400],
    ['another method', { method: 'PUT', body: desired({}) }, 405],
  ];
  for (const [what, asked, status] of cases) t.equal((await ask(fixture, asked)).status, status, what);
  const { body } = await ask(fixture, { method: 'GET' });
  t.match(body, { deviceId: 'gw-1', properties: { desired: { a: { c: 2, d: [1, 2] }, $version: 3 } } });
});

t.test('keys, values and sizes have the limits of a twin', async (t) => {
  const fixture = await startAzure(t);
  fixture.cloud.agentConfig('gw-1');
  const nested = (depth: number): object => (depth === 0 ? { a: 1 } : { a: nested(depth - 1) });
  const cases: Array<[string, object, number]> = [
    ['4 KB of text', { text: 'x'.repeat(4096) }, 200],
    ['more', { text: 'x'.repeat(4097) }, 400],
    ['a full stop in a key', { 'a.b': 1 }, 400],
    ['a space in a key', { 'a b': 1 }, 400],
    ['a dollar sign in a key', { $a: 1 }, 400],
    ['2^52 less one', { a: 2 ** 52 - 1 }, 200],
    ['2^52', { a: 2 ** 52 }, 400],
    ['ten levels', nested(9), 200],
    ['eleven', nested(10), 400],
  ];
  for (const [what, patch, status] of cases)
    t.equal((await ask(fixture, { body: desired(patch) })).status, status, what);
  await ask(fixture, { body: desired({ text: null, a: null }) });
  const texts = (count: number, bytes: number): object =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'x'.repeat(bytes)]));
  // Eight keys of two bytes and eight texts: 32 KB.
  t.equal((await ask(fixture, { body: desired(texts(8, 4094)) })).status, 200);
  t.equal((await ask(fixture, { body: desired({ a: true }) })).status, 413);
  t.equal((await ask(fixture, { body: desired({ k0: null, a: true }) })).status, 200, 'after the merge');
});

t.test('a device that listens is told of the patch', async (t) => {
  const fixture = await startAzure(t);
  const text = JSON.stringify(fixture.cloud.agentConfig('gw-1'));
  const client = sdk.Client.fromConnectionString(/HostName=[^"]+/.exec(text)?.[0] ?? '', transport.Mqtt);
  t.teardown(() => client.close());
  await client.setOptions({ ca: fixture.caFile });
  await client.open();
  const twin = await client.getTwin();
  const seen: unknown[] = [];
  twin.on('properties.desired', (patch) => seen.push(structuredClone(patch)));
  // The SDK subscribes in the background, and first reports the state that it already had.
  await until('the known state', () => seen.length === 1);
  await until('the subscription', () => fixture.cloud.listensToDesired('gw-1'));
  await ask(fixture, { body: desired({ a: 7 }) });
  await until('the patch', () => seen.length === 2);
  t.match(seen.at(-1), { a: 7 });
});
