/** Which way an event hub is reached: TLS on 5671, or a WebSocket on 443, which goes through a proxy. */
import t from 'tap';
import { endpointOf } from '../../../../router/sources/event-hubs/consumer.ts';
import { eventHubsOptions } from '../../../../router/sources/event-hubs/options.ts';

const AT = 'hub.servicebus.windows.net';
const PROXY = 'http://proxy.plant.example:3128';

function way(options: object, env: Record<string, string>, port = ''): string {
  const connection = `Endpoint=sb://${AT}${port}/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=hub`;
  const entry = eventHubsOptions.parse({ credentials: { connection_string: connection }, ...options });
  const { host, port: at, isWebSocket } = endpointOf(entry, env);
  return `${isWebSocket ? 'wss' : 'amqps'}://${host}:${at}`;
}

t.test('by the entry and by the environment', async (t) => {
  const tls = `amqps://${AT}:5671`;
  const webSocket = `wss://${AT}:443`;
  const cases: Array<[options: object, env: Record<string, string>, expected: string]> = [
    [{}, {}, tls],
    [{ websocket: true }, {}, webSocket],
    [{ proxy: PROXY }, {}, webSocket],
    [{}, { HTTPS_PROXY: PROXY }, webSocket],
    [{}, { HTTP_PROXY: PROXY }, tls],
    [{}, { HTTPS_PROXY: PROXY, NO_PROXY: '.servicebus.windows.net' }, tls],
    [{ proxy: 'none' }, { HTTPS_PROXY: PROXY }, tls],
    [{ proxy: 'none', websocket: true }, { HTTPS_PROXY: PROXY }, webSocket],
  ];
  for (const [options, env, expected] of cases)
    t.equal(way(options, env), expected, JSON.stringify([options, env]));
  t.equal(way({}, {}, ':6000'), `amqps://${AT}:6000`);
  t.equal(way({ websocket: true }, {}, ':6000'), `wss://${AT}:6000`);
  t.throws(() => way({}, { HTTPS_PROXY: 'ftp://proxy' }), /HTTPS_PROXY: expected/);
  t.throws(() => way({ proxy: 'socks5://proxy' }, {}), /SOCKS is not supported/);
});
