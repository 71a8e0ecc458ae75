/** The keep alive of a client: every byte counts, on every kind of listener. */
import t from 'tap';
import { until } from '../../../until.ts';
import { everyListener, KINDS, login } from '../listeners/every-listener.ts';
import { loopTurns, publishPacket } from '../raw-client.ts';

const KEEPALIVE_S = 10;

for (const kind of KINDS) {
  t.test(`${kind}: a packet that takes longer than the keep alive arrives; silence ends`, async (t) => {
    const { broker, clock, calls, port, open } = await everyListener(t);
    const device = await open(kind);
    device.write(login(KEEPALIVE_S));
    await until('CONNACK', () => device.readableLength >= 4);
    const packet = publishPacket('devices/device/a', 'x'.repeat(150_000), { qos: 1, messageId: 7 });
    // 150 KB at 5 KB/s.
    for (let at = 0; at < packet.length; at += 15_000) {
      device.write(packet.subarray(at, at + 15_000));
      await loopTurns(port('tcp'));
      clock.advance(3000);
      await loopTurns(port('tcp'));
    }
    await until('the publish arrives', () => calls.length === 1);
    calls[0]?.commit();
    await until('PUBACK', () => device.readableLength >= 8);
    clock.advance(KEEPALIVE_S * 1500 - 4000);
    await loopTurns(port('tcp'));
    t.notOk(device.destroyed);
    clock.advance(4001);
    device.resume();
    await until('a silent client is ended [MQTT-3.1.2-24]', () => broker.stats().connections === 0);
  });

  t.test(`${kind}: a client that is silent after CONNECT is ended at one and a half of it`, async (t) => {
    const { broker, clock, port, open } = await everyListener(t);
    const device = await open(kind);
    device.write(login(KEEPALIVE_S));
    await until('CONNACK', () => device.readableLength >= 4);
    await loopTurns(port('tcp'));
    clock.advance(KEEPALIVE_S * 1500 - 1);
    await loopTurns(port('tcp'));
    t.notOk(device.destroyed);
    clock.advance(1);
    device.resume();
    await until('the silent client is ended [MQTT-3.1.2-24]', () => broker.stats().connections === 0);
  });

  t.test(`${kind}: input that waited while the process was paused is read first`, async (t) => {
    const { clock, port, open } = await everyListener(t);
    const device = await open(kind);
    device.write(login(KEEPALIVE_S));
    await until('CONNACK', () => device.readableLength >= 4);
    await loopTurns(port('tcp'));
    // Bytes that the system holds for the broker when it goes on: the callback comes when they were handed
    // over.
    await new Promise((resolve) => device.write(Uint8Array.from([0xc0, 0]), resolve));
    clock.advance(25_000);
    await until('PINGRESP', () => device.readableLength >= 6);
    t.notOk(device.destroyed);
  });
}

t.test('it does not run while the broker reads nothing of the client', async (t) => {
  const { broker, clock, calls, port, open } = await everyListener(t);
  const device = await open('tcp');
  device.write(login(KEEPALIVE_S));
  await until('CONNACK', () => device.readableLength >= 4);
  const sent = 30;
  for (let messageId = 1; messageId <= sent; messageId += 1)
    device.write(publishPacket('devices/device/a', 'x'.repeat(100_000), { qos: 1, messageId }));
  await until('it is read to a bound', () => calls.length >= 10);
  await loopTurns(port('tcp'));
  t.ok(calls.length < sent, `${calls.length} of ${sent} are read`);
  for (let i = 0; i < 3; i += 1) {
    clock.advance(KEEPALIVE_S * 1500);
    await loopTurns(port('tcp'));
  }
  let done = 0;
  await until('all arrive', () => {
    for (; done < calls.length; done += 1) calls[done]?.commit();
    return done === sent;
  });
  t.ok(broker.clients().some(({ clientId, connectedMs }) => clientId === 'device' && connectedMs !== null));
});

/** A binary frame of a client (RFC 6455, 5.2), masked by zeros: the payload stays as it is. */
function frame(payload: Uint8Array): Buffer {
  const isShort = payload.length < 126;
  const head = Buffer.from([
    0x82,
    0x80 | (isShort ? payload.length : 126),
    payload.length >> 8,
    payload.length,
  ]);
  return Buffer.concat([isShort ? head.subarray(0, 2) : head, Buffer.alloc(4), payload]);
}

t.test('a WebSocket frame that takes longer than the keep alive arrives', async (t) => {
  const { clock, calls, port, bare } = await everyListener(t);
  const device = await bare('ws');
  const key = Buffer.alloc(16).toString('base64');
  const asked = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}`;
  device.write(`GET /mqtt HTTP/1.1\r\nHost: gateway\r\n${asked}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`);
  await until('the upgrade', () => device.readableLength > 0);
  device.read();
  device.write(frame(login(KEEPALIVE_S)));
  await until('CONNACK', () => device.readableLength >= 6);
  const publish = frame(publishPacket('devices/device/a', 'x'.repeat(60_000), { qos: 1, messageId: 7 }));
  for (let at = 0; at < publish.length; at += 15_000) {
    device.write(publish.subarray(at, at + 15_000));
    await loopTurns(port('tcp'));
    clock.advance(6000);
    await loopTurns(port('tcp'));
  }
  await until('it arrives', () => calls.length === 1);
});
