/** The order of addresses, by what became of real connections. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import t from 'tap';
import { systemClock } from '../../../shared/clock.ts';
import { Attempts } from '../../../shared/dns/attempts.ts';
import { ManualClock } from '../../manual-clock.ts';

const A6 = { address: '2001:db8::1', family: 6 };
const B6 = { address: '2001:db8::2', family: 6 };
const A4 = { address: '192.0.2.1', family: 4 };
const B4 = { address: '192.0.2.2', family: 4 };
const ALL = [A6, B6, A4, B4];

t.test('without failures the order is the resolver’s', (t) => {
  t.strictSame(new Attempts(new ManualClock()).ordered(ALL), ALL);
  t.end();
});

t.test('the family that failed comes after the other, and what failed last comes last in it', (t) => {
  const clock = new ManualClock();
  const attempts = new Attempts(clock);
  clock.advance(1);
  attempts.failed(A6.address);
  t.strictSame(attempts.ordered(ALL), [A4, B4, B6, A6]);
  clock.advance(1);
  attempts.failed(A4.address);
  t.strictSame(attempts.ordered(ALL), [B6, A6, B4, A4], 'the failure that is longest ago counts least');
  attempts.reached(A6.address);
  t.strictSame(attempts.ordered(ALL), [A6, B6, B4, A4], 'an address that was reached is as good as new');
  t.end();
});

t.test('addresses that failed are remembered up to a bound (I10)', (t) => {
  const clock = new ManualClock();
  const attempts = new Attempts(clock);
  clock.advance(1);
  const [first, second] = [A4, B4];
  for (const { address } of [first, second]) attempts.failed(address);
  for (let i = 0; i < 1023; i += 1) attempts.failed(`2001:db8::${i.toString(16)}`);
  t.strictSame(attempts.ordered([second, first]), [first, second], 'the oldest is forgotten');
  t.end();
});

t.test('sockets tell what failed and what was reached', async (t) => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const addresses = [
    { address: '127.0.0.2', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ];
  const attempts = new Attempts(systemClock);
  const socket = connect({
    host: 'two.test',
    port,
    lookup: (_host, _options, done) => process.nextTick(done, null, addresses),
  });
  attempts.follow(socket);
  await once(socket, 'connect');
  t.strictSame(
    attempts.ordered(addresses).map(({ address }) => address),
    ['127.0.0.1', '127.0.0.2'],
  );
  await once(socket.resume(), 'close');
});

const FIRST = { address: '127.0.0.3', family: 4 };
const SECOND = { address: '127.0.0.1', family: 4 };

// Of several addresses, Node.js tells the end of the attempt itself; of one alone, the socket closes.
for (const answer of [[FIRST, SECOND], [FIRST]])
  t.test(`an attempt that who asked gave up counts as failed: ${answer.length} known`, async (t) => {
    const attempts = new Attempts(systemClock);
    const socket = connect({
      host: 'two.test',
      port: 9,
      lookup: (_h, _o, done) => process.nextTick(done, null, answer),
    });
    attempts.follow(socket);
    socket.once('connectionAttempt', () => process.nextTick(() => socket.destroy()));
    socket.on('error', () => undefined);
    await once(socket, 'close');
    t.equal(attempts.ordered([FIRST, SECOND])[0], SECOND);
  });
