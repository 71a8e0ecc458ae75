/** One budget from the accepted connection to CONNECT on every kind of listener. */
import t from 'tap';
import { until } from '../../../until.ts';
import { connectPacket, loopTurns } from '../raw-client.ts';
import { CONNECT_TIMEOUT_MS, everyListener, login } from './every-listener.ts';

/** Content type handshake, TLS 1.0 in the record, 512 bytes announced; the rest does not come. */
const HALF_CLIENT_HELLO = Buffer.from('160301020001', 'hex');
const HALF_UPGRADE = 'GET /mqtt HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n';

t.test('silent and slow connections are ended when their budget is over, whatever they began', async (t) => {
  const { broker, clock, port, bare, open } = await everyListener(t);
  const halfTls = await bare('tls');
  halfTls.write(HALF_CLIENT_HELLO);
  const halfUpgrade = await bare('ws');
  halfUpgrade.write(HALF_UPGRADE);
  const slow = await open('tcp');
  const late = {
    'silent tcp': await bare('tcp'),
    'silent tls': await bare('tls'),
    'silent ws': await bare('ws'),
    'half a ClientHello': halfTls,
    'half an upgrade': halfUpgrade,
    'silent after the TLS handshake': await open('tls'),
    'silent after the upgrade': await open('ws'),
    'a CONNECT byte by byte': slow,
  };
  const here = await open('tls');
  here.write(login(60));
  await until('a client is connected', () => here.readableLength > 0);
  await loopTurns(port('tcp'));
  const connect = connectPacket('slow', true);
  for (let at = 0; at < 4; at++) {
    slow.write(connect.subarray(at, at + 1));
    clock.advance(CONNECT_TIMEOUT_MS / 5);
    await loopTurns(port('tcp'));
  }
  t.same(
    Object.values(late).map(({ destroyed }) => destroyed),
    Object.values(late).map(() => false),
    'not before',
  );
  clock.advance(CONNECT_TIMEOUT_MS / 5);
  for (const [name, socket] of Object.entries(late)) {
    socket.resume();
    await until(`${name} is ended`, () => socket.destroyed || socket.readableEnded);
  }
  t.equal(broker.stats().refusals['connect-timeout'], Object.keys(late).length);
  t.notOk(here.destroyed, 'a client that has said CONNECT stays');
  t.equal(broker.stats().connections, 1);
});

t.test('a CONNECT that waited while the process was paused is read before its budget is over', async (t) => {
  const { broker, clock, port, open } = await everyListener(t);
  const device = await open('tcp');
  await loopTurns(port('tcp'));
  device.write(connectPacket('device', true));
  // Its timers are due at once when the process goes on.
  clock.advance(25_000);
  await until('CONNACK', () => device.readableLength > 0);
  t.notOk(broker.stats().refusals['connect-timeout']);
});
