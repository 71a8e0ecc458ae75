import type { MqttClient } from 'mqtt';
import t from 'tap';
import { until } from '../../../until.ts';
import { device, loggedIn, login, PASSWORD, startGated } from './devices-fixture.ts';

/** The granted QoS as the SUBACK has it, 128 for a refusal. */
async function granted(client: MqttClient, filter: string): Promise<unknown> {
  const answered = new Promise<unknown>((resolve) => {
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'suback') resolve(packet.granted[0]);
    });
  });
  client.subscribe(filter, { qos: 1 }, () => undefined);
  return answered;
}

const GROUPS = [
  {
    name: 'pumps',
    rules: [
      { allow: 'publish' as const, topic: 'plant/+/%u/#' },
      { allow: 'subscribe' as const, topic: 'command/%c/+' },
      { allow: 'both' as const, topic: 'shared' },
    ],
  },
];

t.test('without a rule, a device has its own topics and nothing else', async (t) => {
  const { port, taken, broker } = await startGated(t, { devices: [device('a'), device('b')] });
  const client = await loggedIn(t, 'a', { port });
  await client.publishAsync('devices/a/x', '1', { qos: 1 });
  await client.publishAsync('devices/a', '2', { qos: 2 });
  t.equal(await granted(client, 'devices/a/#'), 1);
  t.equal(await granted(client, 'devices/a/+/y'), 1);
  for (const filter of ['#', '+/a/#', 'devices/#', 'devices/+/x', 'devices/b/#', 'devices/b', '$SYS/#']) {
    t.equal(await granted(client, filter), 128, filter);
  }
  t.match(broker.stats().refusals, { 'subscribe-not-allowed': 6, 'reserved-topic': 1 });
  t.strictSame(
    taken.map(({ topic }) => topic),
    ['devices/a/x', 'devices/a'],
  );
});

t.test('a refused publish: QoS 0 goes nowhere, QoS 1 and 2 end the connection [MQTT-3.3.5-2]', async (t) => {
  const { port, taken, broker } = await startGated(
    t,
    { devices: [device('a'), device('b')] },
    { allowAnonymous: true },
  );
  const watcher = await login(t, { port, clientId: 'watcher' });
  if (typeof watcher === 'number') throw new Error('refused');
  const seen: string[] = [];
  watcher.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  await watcher.subscribeAsync('#');
  const client = await loggedIn(t, 'a', { port });
  await client.publishAsync('devices/b/x', 'forged', { retain: true });
  await client.publishAsync('devices/a/x', 'own', { qos: 1 });
  await until('devices/a/x own arrives', () => seen.includes('devices/a/x own'));
  t.notMatch(seen.join(), 'forged');
  t.ok(client.connected, 'QoS 0 keeps the connection');
  for (const qos of [1, 2] as const) {
    const other = await loggedIn(t, 'a', { port, clientId: `a/${qos}` });
    other.publish('devices/b/x', 'forged', { qos });
    await until('the broker ends the connection of other', () => !other.connected);
  }
  const late = await login(t, { port, clientId: 'late' });
  if (typeof late === 'number') throw new Error('refused');
  const seenLate: string[] = [];
  late.on('message', (topic) => seenLate.push(topic));
  await late.subscribeAsync('#');
  await client.publishAsync('devices/a/x', 'later', { qos: 1 });
  await until('a message arrives', () => seenLate.length > 0);
  t.strictSame(seenLate, ['devices/a/x'], 'nothing was retained');
  t.notMatch(seen.join(), /forged/);
  t.match(broker.stats().refusals, { 'publish-not-allowed': 3 });
  t.strictSame(
    taken.map(({ topic }) => topic),
    ['devices/a/x', 'devices/a/x'],
  );
});

t.test('rules of groups and of the device add up; %u and %c', async (t) => {
  const own = [{ allow: 'publish' as const, topic: 'extra/#' }];
  const { port, taken } = await startGated(t, {
    devices: [device('p', { groups: ['pumps'], rules: own })],
    groups: GROUPS,
  });
  const client = await loggedIn(t, 'p', { port, clientId: 'p/2' });
  for (const topic of ['plant/north/p/bar', 'plant/north/p', 'shared', 'extra/a/b']) {
    await client.publishAsync(topic, 'x', { qos: 1 });
  }
  t.equal(taken.length, 4);
  t.equal(await granted(client, 'command/p/2/go'), 1);
  t.equal(await granted(client, 'command/p/2/+'), 1);
  t.equal(await granted(client, 'command/p/2/#'), 128);
  t.equal(await granted(client, 'shared'), 1);
  t.equal(await granted(client, 'extra/#'), 128, 'publish only');
  t.equal(await granted(client, 'devices/p/#'), 128, 'the default is for devices without a rule');
});

t.test('a will that is not allowed is refused with the CONNECT', async (t) => {
  const { port, taken, broker } = await startGated(t, { devices: [device('a')] });
  const will = (topic: string) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1 as const } });
  const credentials = { port, clientId: 'a', username: 'a', password: PASSWORD };
  t.equal(await login(t, { ...credentials, ...will('devices/b/state') }), 5);
  t.match(broker.stats().refusals, { 'will-not-allowed': 1 });
  t.strictSame(taken, []);
  const client = await loggedIn(t, 'a', { port, ...will('devices/a/state') });
  client.stream.destroy();
  await until('a publish is recorded', () => taken.length === 1);
  t.match(taken, [{ topic: 'devices/a/state', device: 'a' }]);
});

t.test('rules change while it runs, also for subscriptions and sessions that exist', async (t) => {
  const { port, write, devices } = await startGated(t, {
    devices: [device('p', { groups: ['pumps'] }), device('q', { groups: ['pumps'] })],
    groups: GROUPS,
  });
  const session = { port, clean: false };
  const p = await loggedIn(t, 'p', session);
  const seen: string[] = [];
  p.on('message', (_topic, payload) => seen.push(payload.toString()));
  t.equal(await granted(p, 'shared'), 1);
  const q = await loggedIn(t, 'q', { port });
  await q.publishAsync('shared', 'one', { qos: 1 });
  await until('a message arrives', () => seen.length === 1);

  const { revision } = devices;
  const publishing = [{ name: 'pumps', rules: [{ allow: 'publish' as const, topic: 'shared' }] }];
  await write({
    devices: [device('p', { groups: ['pumps'] }), device('q', { groups: ['pumps'] })],
    groups: publishing,
  });
  await until('the device file is read again', () => devices.revision > revision);
  await q.publishAsync('shared', 'two', { qos: 1 });
  await q.publishAsync('shared', 'three');
  await p.endAsync(true);
  await q.publishAsync('shared', 'four', { qos: 1 });
  const again = await loggedIn(t, 'p', session);
  again.on('message', (_topic, payload) => seen.push(payload.toString()));
  await q.publishAsync('shared', 'five', { qos: 1 });
  const { revision: publishOnly } = devices;
  await write({
    devices: [device('p', { groups: ['pumps'] }), device('q', { groups: ['pumps'] })],
    groups: GROUPS,
  });
  await until('the device file is read again', () => devices.revision > publishOnly);
  t.equal(await granted(again, 'shared'), 1);
  await q.publishAsync('shared', 'six', { qos: 1 });
  await until('six arrives', () => seen.includes('six'));
  t.strictSame(seen, ['one', 'six'], 'neither live nor what was queued meanwhile');
});

t.test('a refused filter leaves nothing in the session, beside one that was granted (I10)', async (t) => {
  const { port, write, devices } = await startGated(t, { devices: [device('a')] }, { allowAnonymous: true });
  const a = await loggedIn(t, 'a', { port, clean: false });
  await new Promise<void>((resolve) => {
    a.subscribe(['devices/a/#', 'x/#'], { qos: 1 }, () => resolve());
  });
  await a.endAsync(true);
  // If the session had kept the filter, the broker would subscribe it as soon as a rule allows it.
  const { revision } = devices;
  await write({ devices: [device('a', { rules: [{ allow: 'both', topic: '#' }] })] });
  await until('the device file is read again', () => devices.revision > revision);
  const sender = await login(t, { port, clientId: 'sender' });
  if (typeof sender === 'number') throw new Error('refused');
  await sender.publishAsync('x/1', 'queued', { qos: 1 });
  const again = await loggedIn(t, 'a', { port, clean: false });
  const seen: string[] = [];
  again.on('message', (topic) => seen.push(topic));
  await sender.publishAsync('x/2', 'live', { qos: 1 });
  await sender.publishAsync('devices/a/1', 'for a', { qos: 1 });
  await until('devices/a/1 arrives', () => seen.includes('devices/a/1'));
  t.strictSame(seen, ['devices/a/1']);
});
