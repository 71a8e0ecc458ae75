/** azure-eventhub, azeventhubs and paho against the loopback IoT hub. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { startAzure } from '../loopback/azure-fixture.ts';
import { runGo, runPython } from './tools.ts';

async function start(t: Test) {
  const { cloud, caFile } = await startAzure(t);
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
  return { cloud, publish, reading, eventsPort };
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
