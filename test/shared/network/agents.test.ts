/** The ways of connections: a proxy that is mute, broken or early with its first bytes; a local address. */
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { systemClock } from '../../../shared/clock.ts';
import { PlainAgent } from '../../../shared/network/agents.ts';
import { originOf } from '../../../shared/network/local-address.ts';
import { openTunnel } from '../../../shared/network/tunnel.ts';
import { ManualClock } from '../../manual-clock.ts';

const TARGET = { host: 'cloud.test', port: 8883 };

async function listening(t: Test, serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const at = (port: number) => ({ host: '127.0.0.1', port, isSecure: false, authorization: 'Basic c2VjcmV0' });

t.test(
  'a proxy that accepts and says nothing is given up after ten seconds, with its connection',
  async (t) => {
    const clock = new ManualClock();
    const { promise: accepted, resolve } = Promise.withResolvers<Socket>();
    const port = await listening(t, resolve);
    const opening = t.rejects(openTunnel({ proxy: at(port), target: TARGET, clock }), {
      code: 'ETIMEDOUT',
      message: `proxy 127.0.0.1:${port}: no answer within 10 s`,
    });
    const socket = await accepted;
    const [asked] = await once(socket, 'data');
    t.match(String(asked), /^CONNECT cloud\.test:8883 HTTP\/1\.1\r\n/);
    t.match(String(asked), /proxy-authorization: Basic c2VjcmV0/i);
    const ended = once(socket.resume(), 'close');
    clock.advance(10_000);
    await opening;
    await ended;
  },
);

t.test('answers that open no tunnel', async (t) => {
  for (const [answer, message] of [
    ['HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n', /HTTP 407 Proxy Authentication Required$/],
    ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', null],
    ['SSH-2.0-x\r\n', /Parse Error/],
    ['', /socket hang up/],
  ] as const) {
    const port = await listening(t, (socket) => socket.once('data', () => socket.end(answer)));
    const opening = openTunnel({ proxy: at(port), target: TARGET, clock: systemClock });
    if (message === null) t.ok(await opening);
    else await t.rejects(opening, message);
  }
});

t.test('what the other side says at once is not lost', async (t) => {
  const port = await listening(t, (socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 200 Fine\r\n\r\nhello')),
  );
  const socket = await openTunnel({ proxy: at(port), target: TARGET, clock: systemClock });
  const [data] = await once(socket, 'data');
  t.equal(String(data), 'hello');
  socket.destroy();
});

t.test('connections come from the address, or from that of the interface', async (t) => {
  const from: Array<string | undefined> = [];
  const port = await listening(t, (socket) => {
    from.push(socket.remoteAddress);
    socket.end('HTTP/1.1 204 None\r\nconnection: close\r\n\r\n');
  });
  const [loopback = ''] = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    addresses?.some(({ address }) => address === '127.0.0.1') ? [name] : [],
  );
  for (const local_address of ['127.0.0.5', loopback]) {
    const agent = new PlainAgent({}, { access: { local_address }, clock: systemClock });
    const [response] = await once(request({ port, host: '127.0.0.1', agent }).end(), 'response');
    response.resume();
  }
  t.strictSame(from, ['127.0.0.5', '127.0.0.1']);
  const absent = new PlainAgent({}, { access: { local_address: 'absent7' }, clock: systemClock });
  const [error] = await once(request({ port, host: '127.0.0.1', agent: absent }).end(), 'error');
  t.match(error, { code: 'ENODEV', message: /absent7 has no address/ });
  t.strictSame(originOf(undefined), {});
});
