/** The facts about each client: of the book alone, of a real broker, and as the command shows them. */
import { Registry } from 'prom-client';
import t from 'tap';
import { clientRoutes } from '../../../agent/admin/clients-route.ts';
import { ClientBook } from '../../../agent/broker/client-book.ts';
import type { ClientStatus } from '../../../shared/admin-api/clients.ts';
import { AdminServer } from '../../../shared/admin-server.ts';
import { systemClock } from '../../../shared/clock.ts';
import { systemEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { command, headgate } from '../../cli/run.ts';
import { ManualClock } from '../../manual-clock.ts';
import { until } from '../../until.ts';
import { device, loggedIn, login, PASSWORD, startGated } from './access/devices-fixture.ts';
import { SILENT } from './fixture.ts';

t.test('two devices with one client id are one line in the log, and a count', async (t) => {
  const lines: Array<Record<string, unknown>> = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const clock = new ManualClock();
  const book = new ClientBook(clock, log);
  let last = {};
  const connect = (address: string): void => {
    const before = last;
    last = {};
    book.connected(last, 'pump-1', address);
    book.disconnected(before);
  };
  connect('10.0.0.1');
  clock.advance(600_000);
  connect('10.0.0.1');
  t.same(lines, [], 'a device that lost its connection and came back is no second one');
  for (let i = 0; i < 40; i++) {
    clock.advance(1000);
    connect(i % 2 === 0 ? '10.0.0.2' : '10.0.0.1');
  }
  t.match(lines, [{ event: 'broker.client_id_shared', device: 'pump-1', address: /^10/, other: /^10/ }]);
  t.equal(lines.length, 1);
  t.match(book.all(), [{ clientId: 'pump-1', takenOver: 41, connectedMs: 640_000 }]);
  t.equal(book.takenOver, 41);
});

t.test('rates, refusals and bounds (I10)', async (t) => {
  const clock = new ManualClock();
  const book = new ClientBook(clock, SILENT);
  const connection = {};
  book.connected(connection, 'pump-1', '10.0.0.1');
  for (let i = 0; i < 25; i++) book.published(connection);
  clock.advance(10_000);
  book.heard(connection);
  book.measure();
  t.match(book.all(), [{ published: 25, ratePerSecond: 2.5, lastSeenMs: 10_000, connectedMs: 0 }]);
  book.measure();
  t.match(book.all(), [{ ratePerSecond: 0 }]);
  for (let i = 0; i < 3000; i++) book.refused(`stray-${i}`, '10.0.0.9', 'bad-credentials');
  book.refused('x'.repeat(5000), '10.0.0.9', 'bad-credentials');
  book.refused('', '10.0.0.8', 'connect-timeout');
  const all = book.all();
  t.equal(all.length, 1001, 'who is connected stays, of the others the last');
  t.ok(all.some(({ clientId }) => clientId === 'pump-1'));
  t.ok(all.every(({ clientId }) => clientId.length <= 128));
  t.match(all[0], { clientId: '', address: '10.0.0.8', refused: new Map([['connect-timeout', 1]]) });
  book.disconnected(connection);
  t.equal(book.all().length, 1000);
});

t.test('headgate clients: who is there, who was refused and why', async (t) => {
  const rule = { allow: 'both', topic: 'plant/#' } as const;
  const gated = await startGated(t, { devices: [device('pump-1', { rules: [rule] }), device('cam')] });
  const { broker, port } = gated;
  const pump = await loggedIn(t, 'pump-1', { port });
  await pump.publishAsync('plant/a', 'x', { qos: 1 });
  t.equal(await login(t, { port, clientId: 'cam', username: 'cam', password: 'wrong-password' }), 4);
  await login(t, { port, clientId: 'new', protocolVersion: 5 });
  const will = { topic: 'other/cam', payload: 'gone', qos: 0, retain: false } as const;
  t.equal(await login(t, { port, clientId: 'cam', username: 'cam', password: PASSWORD, will }), 5);
  const server = new AdminServer({
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    entropy: systemEntropy,
    log: SILENT,
    checks: {},
    registry: new Registry(),
    routes: clientRoutes({ broker, clock: systemClock }),
  });
  await server.start();
  t.teardown(() => server.stop());
  const admin = ['--admin', `http://127.0.0.1:${server.port()}`];
  const asJson = await headgate(['clients', '--json', ...admin]);
  const { clients, connected } = JSON.parse(asJson.stdout);
  t.equal(connected, 1);
  t.match(
    clients.map(({ clientId, refused, lastRefusal, published }: ClientStatus) => ({
      ...{ clientId, refused, lastRefusal, published },
    })),
    [
      {
        clientId: 'cam',
        refused: { 'bad-credentials': 1, 'will-not-allowed': 1 },
        lastRefusal: 'will-not-allowed',
      },
      { clientId: 'new', refused: { 'protocol-version': 1 } },
      { clientId: 'pump-1', refused: {}, lastRefusal: null, published: 1 },
    ],
  );
  const { stdout } = await command(['clients', '--refused', ...admin], { env: { COLUMNS: '80' } });
  t.match(stdout, /^1 connected of 3 known$/m);
  t.match(stdout, /^cam .*1 will-not-allowed/m);
  t.match(stdout, /protocol-version/);
  t.notMatch(stdout, /pump-1/);
  t.ok(stdout.split('\n').every((line) => line.length <= 80));
});

t.test('an empty client id with a username becomes the name and a random suffix', async (t) => {
  const rule = { allow: 'publish', topic: 'plant/#' } as const;
  const { port, taken, broker } = await startGated(t, { devices: [device('pump-1', { rules: [rule] })] });
  for (let i = 0; i < 2; i++) {
    const client = await loggedIn(t, 'pump-1', { port, clientId: '' });
    await client.publishAsync('plant/a', 'x', { qos: 1 });
  }
  const ids = taken.map((publish) => publish.device);
  t.ok(
    ids.every((id) => /^pump-1\/[0-9a-f]{16}$/.test(id)),
    ids.join(),
  );
  t.equal(new Set(ids).size, 2, 'each connection has its own, and none ends the other');
  t.equal(broker.stats().connections, 2);
  t.equal(await login(t, { port, clientId: '', username: 'pump-1', password: 'wrong-password' }), 4);
});

t.test('$SYS topics of bridges: dropped and acknowledged, and no # reads them [MQTT-4.7.2-1]', async (t) => {
  const rule = { allow: 'both', topic: '#' } as const;
  const { port, taken, broker } = await startGated(t, {
    devices: [device('bridge', { rules: [rule] }), device('reader', { rules: [rule] })],
  });
  const reader = await loggedIn(t, 'reader', { port });
  const read: string[] = [];
  reader.on('message', (topic) => read.push(topic));
  await reader.subscribeAsync(['#', '+/broker/#'], { qos: 1 });
  const state = '$SYS/broker/connection/bridge/state';
  const will = { topic: state, payload: Buffer.from('0'), qos: 1, retain: true } as const;
  const bridge = await loggedIn(t, 'bridge', { port, will });
  await bridge.publishAsync(state, '1', { qos: 1, retain: true });
  await bridge.publishAsync('plant/a', 'x', { qos: 1 });
  bridge.stream.destroy();
  await until('the will was due', () => broker.stats().refusals['reserved-topic'] === 2);
  await until('what came behind is read', () => read.includes('plant/a'));
  t.same(new Set(read), new Set(['plant/a']), 'the subscriptions get the rest');
  t.same(
    taken.map(({ topic }) => topic),
    ['plant/a'],
    'no stream does either, whatever its topics',
  );
});
