/** azure-iot-device, azure-eventhub, azeventhubs and paho against the loopback IoT hub. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { startAzure } from '../loopback/azure-fixture.ts';
import { ask, TWIN } from '../loopback/azure-service-client.ts';
import { until } from '../until.ts';
import { runGo, runPython } from './tools.ts';

async function start(t: Test) {
  const fixture = await startAzure(t);
  const { cloud, caFile } = fixture;
  const agent = JSON.stringify(cloud.agentConfig('gw-1'));
  const router = JSON.stringify(cloud.routerConfig());
  const part = (text: string, pattern: RegExp): string => pattern.exec(text)?.[1] ?? '';
  const eventsPort = part(router, /localhost:(\d+)/);
  const publish = () =>
    runPython('paho_hub.py', {
      host: part(agent, /HostName=([^;]+)/),
      device: 'gw-1',
      key: part(agent, /SharedAccessKey=([^;]+)/),
      port: Number(part(agent, /GatewayHostName=localhost:(\d+)/)),
      ca_file: caFile,
      messages: ['00ff', '61'],
    });
  const connectionString = part(router, /"connection_string":"([^"]+)"/).replace(
    /sb:\/\/localhost:\d+\//,
    'sb://headgate.servicebus.windows.net/',
  );
  const reading = { connection_string: connectionString, ca_file: caFile, count: 2 };
  t.ok(readFileSync(caFile).length > 0);
  return { fixture, cloud, agent, publish, reading, eventsPort };
}

const EXPECTED = [
  { hub: 'headgate', partitions: ['0', '1'] },
  { partition: '0' },
  { partition: '1' },
  { body: '00ff', device: 'gw-1', properties: { st: 'foreign' } },
  { body: '61', device: 'gw-1', properties: { st: 'foreign' } },
];

t.test('paho publishes, azure-eventhub for Python reads', async (t) => {
  const { publish, reading, eventsPort, cloud } = await start(t);
  t.match(await publish(), [{ connected: 0 }, { published: 2 }]);
  t.match(
    await runPython('event_hubs.py', { ...reading, endpoint: `sb://localhost:${eventsPort}` }),
    EXPECTED,
  );
  t.match(cloud.meter(), { accepted: 2, perStream: { foreign: 2 } });
});

t.test('azeventhubs for Go reads', async (t) => {
  const { publish, reading, eventsPort } = await start(t);
  await publish();
  t.match(await runGo('eventhubs', { ...reading, endpoint: `localhost:${eventsPort}` }), EXPECTED);
});

t.test('azure-iot-device sends, reports, reads its twin and gets a desired property', async (t) => {
  const { fixture, cloud, agent, reading, eventsPort } = await start(t);
  const [, port] = /GatewayHostName=localhost:(\d+)/.exec(agent) ?? [];
  const [connectionString = ''] = /HostName=[^"]+/.exec(agent) ?? [];
  const device = runPython('iot_device.py', {
    connection_string: connectionString.replace(/(GatewayHostName=localhost):\d+/, '$1'),
    port: Number(port),
    ca_file: reading.ca_file,
    messages: ['00ff', '61'],
  });
  const isReported = async () => {
    const { body } = await ask(fixture, { method: 'GET' });
    return JSON.stringify(body).includes('"receipt":7');
  };
  await Promise.race([until('the device has reported', isReported), device]);
  const patched = await ask(fixture, { path: TWIN, body: { properties: { desired: { rate: 5 } } } });
  t.equal(patched.status, 200);
  t.match(await device, [
    { sent: 2 },
    { twin: { reported: { headgate: { receipt: 7 } } } },
    { patch: { rate: 5, $version: 2 } },
  ]);
  t.match(cloud.meter(), { accepted: 2, perStream: { foreign: 2 } });
  const read = await runPython('event_hubs.py', { ...reading, endpoint: `sb://localhost:${eventsPort}` });
  t.match(read.slice(-2), EXPECTED.slice(-2));
});
