/** MQTT over WebSocket, section 6. */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { until } from '../../../until.ts';
import { startBroker } from '../fixture.ts';
import { connack, connect, puback, publish, splitPackets } from './packets.ts';

interface Peer {
  socket: WebSocket;
  /** Packets received, in hex, and whether each frame was binary. */
  heard(): string[];
  frames: boolean[];
}

async function opened(t: Test, ...protocols: string[]): Promise<Peer> {
  const { broker, port } = await startBroker((_publish, settled) => settled(null), {
    listeners: [{ type: 'ws', host: '127.0.0.1', port: 0 }],
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, protocols);
  t.teardown(() => {
    socket.terminate();
    return broker.stop();
  });
  let received = '';
  const frames: boolean[] = [];
  socket.on('message', (data: Buffer, isBinary) => {
    received += data.toString('hex');
    frames.push(isBinary);
  });
  await once(socket, 'open');
  return { socket, frames, heard: () => splitPackets(received) };
}

const hex = (...packets: Uint8Array[]) => packets.map((bytes) => Buffer.from(bytes).toString('hex'));

t.test(
  'packets need not begin or end with a frame; answers are binary frames [MQTT-6.0.0-1] [MQTT-6.0.0-2]',
  async (t) => {
    const { socket, heard, frames } = await opened(t, 'mqtt');
    const bytes = Buffer.concat([
      connect('a'),
      publish('t', 'x', { qos: 1 }),
      publish('t', 'y', { qos: 1, id: 2 }),
    ]);
    const cuts = [0, 1, 2, 9, connect('a').length, connect('a').length + 3, bytes.length];
    for (const [index, from] of cuts.entries())
      socket.send(bytes.subarray(from, cuts[index + 1] ?? bytes.length));
    await until('all is answered', () => heard().length >= 3);
    t.same(heard(), hex(connack(), puback(1), puback(2)));
    t.ok(frames.every((isBinary) => isBinary));
  },
);

t.test('the sub protocol is mqtt, also among others [MQTT-6.0.0-4]', async (t) => {
  const { socket } = await opened(t, 'chat', 'mqtt');
  t.equal(socket.protocol, 'mqtt');
});

t.test('a text frame ends the connection [MQTT-6.0.0-1]', async (t) => {
  const { socket, heard } = await opened(t, 'mqtt');
  socket.send(connect('a'));
  await until('CONNACK', () => heard().length === 1);
  socket.send('c000');
  await once(socket, 'close');
  t.same(heard(), hex(connack()));
});
