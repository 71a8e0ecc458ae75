/** The loopback IoT hub's own rules: authentication, a device's rights, twins, sizes and billing units. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as tlsConnect } from 'node:tls';
import sdk from 'azure-iot-device';
import transport from 'azure-iot-device-mqtt';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { fault } from '../../loopback/faults.ts';
import { until } from '../until.ts';
import { clock, type Fixture, startAzure } from './azure-fixture.ts';

const HUB = 'headgate.azure-devices.net';

interface Device {
  url: string;
  key: string;
  id: string;
}

function deviceOf({ cloud }: Fixture, id: string): Device {
  const text = JSON.stringify(cloud.agentConfig(id));
  const key = /SharedAccessKey=([^;"]+)/.exec(text)?.[1] ?? '';
  return { url: `mqtts://${/GatewayHostName=([^;"]+)/.exec(text)?.[1]}`, key, id };
}

/** A token as a device signs it; `resource` and `expirySeconds` can be wrong on purpose. */
function token(
  { id, key }: Device,
  resource = `${HUB}/devices/${id}`,
  expirySeconds = Math.floor(clock.wallMs() / 1000) + 60,
): string {
  const sr = encodeURIComponent(resource);
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${sr}\n${expirySeconds}`);
  return `SharedAccessSignature sr=${sr}&sig=${encodeURIComponent(signature.digest('base64'))}&se=${expirySeconds}`;
}

/** A plain MQTT connection; `change` breaks its CONNECT. */
function connect(t: Test, fixture: Fixture, device: Device, change: IClientOptions = {}): MqttClient {
  const client = mqtt.connect(device.url, {
    ca: readFileSync(fixture.caFile),
    protocolVersion: 4,
    clientId: device.id,
    username: `${HUB}/${device.id}/?api-version=2021-04-12`,
    password: token(device),
    reconnectPeriod: 0,
    ...change,
  });
  client.on('error', () => undefined);
  t.teardown(() => client.end(true));
  return client;
}

/** `connected`, or the CONNACK's refusal. */
function outcomeOf(client: MqttClient): Promise<string> {
  return new Promise((resolve) => {
    client.once('connect', () => resolve('connected'));
    client.once('error', (error) => resolve(error.message));
  });
}

async function connected(t: Test, fixture: Fixture, id: string): Promise<MqttClient> {
  const client = connect(t, fixture, deviceOf(fixture, id));
  t.equal(await outcomeOf(client), 'connected');
  return client;
}

const closed = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => client.once('close', () => resolve()));

t.test('a device shows a good token for itself, or is refused with CONNACK 5', async (t) => {
  const fixture = await startAzure(t);
  const device = deviceOf(fixture, 'gw-1');
  const other = deviceOf(fixture, 'gw-2');
  const now = Math.floor(clock.wallMs() / 1000);
  const cases: Array<[string, IClientOptions, string]> = [
    ['a good token', {}, 'connected'],
    ['no token', { password: '' }, 'refused'],
    ['a token of another key', { password: token({ ...device, key: other.key }) }, 'refused'],
    ['a token for another device', { password: token(device, `${HUB}/devices/gw-2`) }, 'refused'],
    ['a token that is over', { password: token(device, undefined, now - 1) }, 'refused'],
    ['another client id', { clientId: 'gw-2' }, 'refused'],
    ['another hub in the user name', { username: 'other/gw-1/?api-version=2021-04-12' }, 'refused'],
    ['a user name without api-version', { username: `${HUB}/gw-1` }, 'refused'],
    ['a device nobody registered', { clientId: 'gw-9', username: `${HUB}/gw-9/?api-version=1` }, 'refused'],
  ];
  for (const [what, change, expected] of cases) {
    const client = connect(t, fixture, device, change);
    const outcome = await outcomeOf(client);
    t.equal(outcome, expected === 'connected' ? expected : 'Connection refused: Not authorized', what);
    client.end(true);
  }
});

t.test('the hub ends a connection when its token is over', async (t) => {
  const fixture = await startAzure(t);
  const device = deviceOf(fixture, 'gw-1');
  const soon = Math.floor(clock.wallMs() / 1000) + 2;
  const client = connect(t, fixture, device, { password: token(device, undefined, soon) });
  t.equal(await outcomeOf(client), 'connected');
  await closed(client);
  t.ok(clock.wallMs() / 1000 >= soon - 0.1);
});

t.test('a device publishes under its own id only, and subscribes to its own topics only', async (t) => {
  const fixture = await startAzure(t);
  const client = await connected(t, fixture, 'gw-1');
  await t.rejects(client.subscribeAsync('#'), 'the filter is refused');
  await client.subscribeAsync('devices/gw-1/messages/devicebound/#');
  const end = closed(client);
  client.publish('devices/gw-2/messages/events/', 'x', { qos: 1 });
  await end;
  t.equal(fixture.cloud.meter().accepted, 0);
});

t.test('a second connection of a device kicks the first', async (t) => {
  const fixture = await startAzure(t);
  const first = await connected(t, fixture, 'gw-1');
  const end = closed(first);
  await connected(t, fixture, 'gw-1');
  await end;
  t.notOk(first.connected);
});

t.test('256 KiB with properties is the most; above it the hub closes the connection', async (t) => {
  const fixture = await startAzure(t);
  const client = await connected(t, fixture, 'gw-1');
  const topic = 'devices/gw-1/messages/events/st=ab';
  await client.publishAsync(topic, Buffer.alloc(262_144 - 4), { qos: 1 });
  t.equal(fixture.cloud.meter().accepted, 1);
  const end = closed(client);
  client.publish(topic, Buffer.alloc(262_144 - 3), { qos: 1 });
  await end;
  t.equal(fixture.cloud.meter().accepted, 1);
});

t.test('the meter counts units of 4 KB of body and properties', async (t) => {
  const fixture = await startAzure(t);
  const client = await connected(t, fixture, 'gw-1');
  const units: number[] = [];
  // `st` and `ab`: four bytes of properties.
  for (const bytes of [0, 4092, 4093, 8188, 8189]) {
    const before = fixture.cloud.meter().units;
    await client.publishAsync('devices/gw-1/messages/events/st=ab', Buffer.alloc(bytes), { qos: 1 });
    units.push(fixture.cloud.meter().units - before);
  }
  t.strictSame(units, [1, 1, 2, 2, 3]);
  t.match(fixture.cloud.meter(), { accepted: 5, bytes: 24_562, requests: 6, perStream: { ab: 5 } });
});

t.test('twin: get, reported and desired, through the SDK', async (t) => {
  const { cloud, caFile } = await startAzure(t);
  const text = JSON.stringify(cloud.agentConfig('gw-1'));
  const client = sdk.Client.fromConnectionString(/HostName=[^"]+/.exec(text)?.[0] ?? '', transport.Mqtt);
  t.teardown(() => client.close());
  await client.setOptions({ ca: caFile });
  await client.open();
  cloud.patchDesired('gw-1', { policy: { version: 1, old: true } });
  const twin = await client.getTwin();
  t.match(twin.properties.desired, { policy: { version: 1 }, $version: 2 });
  await new Promise<void>((resolve, reject) => {
    twin.properties.reported['update']({ policy: { applied: 1 } }, (error: unknown) =>
      error ? reject(error) : resolve(),
    );
  });
  t.strictSame(cloud.twin('gw-1').reported, { policy: { applied: 1 }, $version: 2 });
  const patches: unknown[] = [];
  twin.on('properties.desired', (patch) => patches.push(structuredClone(patch)));
  // The SDK subscribes in the background, and first reports the state that it already had.
  await until('the known state', () => patches.length === 1);
  await until('the subscription', () => cloud.listensToDesired('gw-1'));
  cloud.patchDesired('gw-1', { policy: { version: 2, old: null } });
  await until('the patch', () => patches.length === 2);
  t.match(patches[1], { policy: { version: 2 }, $version: 3 });
  t.strictSame(cloud.twin('gw-1').desired, { policy: { version: 2 }, $version: 3 });
});

t.test('html503 answers with a page where MQTT should be, inside TLS', async (t) => {
  const fixture = await startAzure(t);
  await fixture.cloud.setFault(fault('html503'));
  t.equal(fixture.cloud.fault()?.name, 'html503');
  const port = Number(/localhost:(\d+)/.exec(deviceOf(fixture, 'gw-1').url)?.[1]);
  const socket = tlsConnect({ host: 'localhost', port, ca: readFileSync(fixture.caFile) }, () =>
    socket.write('x'),
  );
  t.teardown(() => socket.destroy());
  const page = await new Promise<string>((resolve) => {
    let body = '';
    socket.on('data', (data) => {
      body += data.toString();
    });
    socket.on('end', () => resolve(body));
  });
  t.match(page, /^HTTP\/1\.1 503 Service Unavailable[\s\S]*<html>/);
});
