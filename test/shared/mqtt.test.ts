import t from 'tap';
import { brokerAddress } from '../../shared/mqtt.ts';

t.test('a URL as the settings of the client', async (t) => {
  const cases: Readonly<Record<string, object>> = {
    'mqtt://127.0.0.1:1884': { protocol: 'mqtt', host: '127.0.0.1', port: 1884 },
    'MQTTS://broker.example': { protocol: 'mqtts', host: 'broker.example' },
    'mqtts://[::1]:8883': { protocol: 'mqtts', host: '::1', port: 8883 },
    'mqtt://ann:p%40ss@broker/': { protocol: 'mqtt', host: 'broker', username: 'ann', password: 'p@ss' },
    'wss://broker.example/mqtt?v=4': { protocol: 'wss', host: 'broker.example', path: '/mqtt?v=4' },
    'ws://broker:9001': { protocol: 'ws', host: 'broker', port: 9001, path: '/' },
  };
  for (const [url, settings] of Object.entries(cases)) t.strictSame(brokerAddress(url), settings, url);
  t.throws(() => brokerAddress('http://broker'), /expected one of mqtts, mqtt, wss, ws/);
});
