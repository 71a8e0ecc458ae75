import { once } from 'node:events';
import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { fault } from '../../loopback/faults.ts';
import { TcpProxy } from '../../loopback/tcp-proxy.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { ManualClock } from '../manual-clock.ts';
import { asTimePasses, until } from '../until.ts';

/** A proxy in front of a server that answers every chunk with `serve`; the default sends it back. */
async function start(
  t: Test,
  serve: (socket: Socket, chunk: Buffer) => void = (s, c) => s.write(c),
  clock: Clock = systemClock,
) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => serve(socket, chunk));
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const targetPort = typeof address === 'object' && address ? address.port : 0;
  const proxy = new TcpProxy({ targetPort, port: 0, clock, entropy: seededEntropy(1) });
  await proxy.start();
  t.teardown(async () => {
    await proxy.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { proxy, sockets, targetPort };
}

async function open(t: Test, port: number): Promise<Socket> {
  const socket = tcpConnect({ port, host: '127.0.0.1' });
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Resolves when the connection is over, with an error or without. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
  });
}

/** The outcome of one request on this socket: its answer, the error's code, or `closed`. */
function ask(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('data', (chunk) => resolve(chunk.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('closed'));
    socket.write('ping');
  });
}

/** As {@link ask}, on a connection of its own. */
function askNew(t: Test, port: number): Promise<string> {
  return open(t, port).then(
    (socket) => ask(socket),
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
}

t.test('carries bytes both ways, any number, byte for byte', async (t) => {
  const { proxy } = await start(t);
  const socket = await open(t, proxy.port);
  const sent = Buffer.alloc(3_000_000, 'headgate');
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  socket.write(sent);
  while (received.reduce((sum, chunk) => sum + chunk.length, 0) < sent.length) await once(socket, 'data');
  t.ok(Buffer.concat(received).equals(sent));
});

t.test('carries the end: all of an answer arrives before the close', async (t) => {
  const answer = Buffer.alloc(2_000_000, 'x');
  const { proxy } = await start(t, (socket) => socket.end(answer));
  const socket = await open(t, proxy.port);
  let length = 0;
  socket.on('data', (chunk) => {
    length += chunk.length;
  });
  socket.write('go');
  await once(socket, 'close');
  t.equal(length, answer.length);
});

t.test('refuse closes the port and cuts open connections; clearing gives the same port back', async (t) => {
  const { proxy } = await start(t);
  const port = proxy.port;
  const warm = await open(t, port);
  t.equal(await ask(warm), 'ping');
  const cut = closed(warm);
  await proxy.setFault(fault('refuse'));
  await cut;
  t.equal(await askNew(t, port), 'ECONNREFUSED');
  await proxy.setFault(null);
  t.equal(proxy.port, port);
  t.equal(await askNew(t, port), 'ping');
});

t.test(
  'blackhole answers nothing, on old and new connections, and hides that the server closed',
  async (t) => {
    const { proxy, sockets, targetPort } = await start(t);
    const clear = new TcpProxy({ targetPort, port: 0, clock: systemClock, entropy: seededEntropy(1) });
    await clear.start();
    t.teardown(() => clear.stop());
    const warm = await open(t, proxy.port);
    t.equal(await ask(warm), 'ping');
    await proxy.setFault(fault('blackhole'));
    const heard: string[] = [];
    const note = (what: string): void => void heard.push(what);
    void ask(warm).then(note);
    void askNew(t, proxy.port).then(note);
    // Later requests that take the same way without the fault are answered.
    for (const _ of [1, 2, 3]) t.equal(await askNew(t, clear.port), 'ping');
    t.same(heard, []);
    for (const socket of sockets) socket.destroy();
    for (const _ of [1, 2, 3]) t.equal(await askNew(t, clear.port), 'ping');
    t.same(heard, []);
    const cut = closed(warm);
    await proxy.setFault(null);
    await cut;
    t.equal(await askNew(t, proxy.port), 'ping');
  },
);

t.test('slow delays answers by the latency and nothing else: order and end stay', async (t) => {
  const spell = (socket: Socket, chunk: Buffer): void => {
    for (const part of chunk.toString().split('')) socket.write(part);
    socket.end();
  };
  const clock = new ManualClock();
  const { proxy } = await start(t, spell, clock);
  await proxy.setFault(fault('slow', { latencyMs: 60, jitterMs: 40 }));
  const socket = await open(t, proxy.port);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  let isClosed: boolean = false;
  void closed(socket).then(() => {
    isClosed = true;
  });
  socket.write('abcdefghijklmnopqrstuvwxyz');
  await until('the answer and the close come', () => {
    if (text === '') clock.advance(1);
    else clock.advance(100);
    return isClosed;
  });
  t.equal(text, 'abcdefghijklmnopqrstuvwxyz');
  t.ok(clock.monoMs() >= 20, `after ${clock.monoMs()} ms`);
});

t.test('slow-ramp begins with nothing and grows to all of the latency', async (t) => {
  const clock = new ManualClock();
  const { proxy } = await start(t, undefined, clock);
  const socket = await open(t, proxy.port);
  const ramp = (periodMs: number): Promise<void> =>
    proxy.setFault(fault('slow-ramp', { latencyMs: 2000, jitterMs: 0, periodMs }));
  await ramp(600_000);
  t.equal(await ask(socket), 'ping', 'at its beginning, with the clock stopped');
  await ramp(10);
  clock.advance(10);
  const answer = ask(socket);
  await until('the answer is delayed', () => clock.isDueIn(2000));
  clock.advance(2000);
  t.equal(await answer, 'ping', 'at its end');
});

t.test('slow keeps the order of chunks sent at different times', async (t) => {
  const clock = new ManualClock();
  const { proxy } = await start(t, undefined, clock);
  await proxy.setFault(fault('slow', { latencyMs: 30, jitterMs: 30 }));
  const socket = await open(t, proxy.port);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  let expected = '';
  for (let i = 0; i < 60; i += 1) {
    expected += `${i} `;
    socket.write(`${i} `);
    clock.advance(i % 3);
    await nextTurn();
    if (i === 40) await proxy.setFault(null);
  }
  await asTimePasses(clock, 1, 'everything comes', () => text.length === expected.length);
  t.equal(text, expected);
});

t.test('reset sends RST when data arrives', async (t) => {
  const { proxy } = await start(t);
  const warm = await open(t, proxy.port);
  t.equal(await ask(warm), 'ping');
  await proxy.setFault(fault('reset'));
  t.same(await Promise.all([ask(warm), askNew(t, proxy.port)]), ['ECONNRESET', 'ECONNRESET']);
  await proxy.setFault(null);
  t.equal(await askNew(t, proxy.port), 'ping');
});

t.test('flap refuses, serves, refuses, until cleared', async (t) => {
  const clock = new ManualClock();
  const { proxy } = await start(t, undefined, clock);
  await proxy.setFault(fault('flap', { periodMs: 50 }));
  for (const expected of ['ECONNREFUSED', 'ping', 'ECONNREFUSED', 'ping']) {
    await until(`the proxy answers ${expected}`, async () => (await askNew(t, proxy.port)) === expected);
    await until('the next half of the cycle is due', () => clock.isDueIn(50));
    clock.advance(50);
  }
  await proxy.setFault(null);
  clock.advance(100);
  t.equal(await askNew(t, proxy.port), 'ping');
});

t.test('a fault of the cloud itself leaves the line clear', async (t) => {
  const { proxy } = await start(t);
  await proxy.setFault(fault('throttle'));
  t.equal(await askNew(t, proxy.port), 'ping');
});

t.test('quick changes of mind end where the last one says', async (t) => {
  const { proxy } = await start(t);
  await Promise.all([
    proxy.setFault(fault('refuse')),
    proxy.setFault(null),
    proxy.setFault(fault('flap', { periodMs: 1 })),
    proxy.setFault(fault('refuse')),
  ]);
  t.equal(await askNew(t, proxy.port), 'ECONNREFUSED');
  await Promise.all([proxy.setFault(fault('refuse')), proxy.setFault(null)]);
  t.equal(await askNew(t, proxy.port), 'ping');
});

t.test('a stopped proxy stays closed, and the target being away closes the connection', async (t) => {
  const { proxy } = await start(t);
  await proxy.stop();
  await proxy.setFault(null);
  t.equal(await askNew(t, proxy.port), 'ECONNREFUSED');
  const orphan = new TcpProxy({ targetPort: 1, port: 0, clock: systemClock, entropy: seededEntropy(1) });
  await orphan.start();
  t.teardown(() => orphan.stop());
  t.match(await askNew(t, orphan.port), /closed|ECONNRESET|EPIPE/);
});

t.test('a port that is taken is an error at start, and waited for when it is the own one', async (t) => {
  const clock = new ManualClock();
  const { proxy } = await start(t, undefined, clock);
  const second = new TcpProxy({
    targetPort: 1,
    port: proxy.port,
    clock: systemClock,
    entropy: seededEntropy(1),
  });
  await t.rejects(second.start(), { code: 'EADDRINUSE' });
  await proxy.setFault(fault('refuse'));
  const thief = createServer();
  thief.listen(proxy.port, '127.0.0.1');
  await once(thief, 'listening');
  const opened = proxy.setFault(null);
  await until('the proxy waits for its port', () => clock.isDueIn(100));
  const closing = once(thief, 'close');
  thief.close();
  await closing;
  clock.advance(100);
  await opened;
  t.equal(await askNew(t, proxy.port), 'ping');
});
