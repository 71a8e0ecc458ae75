/**
 * The router's own endpoint, before anybody has logged in. Each attack comes from an address of its own, the
 * gateway that works on from 127.0.0.2, where it has logged in before.
 */
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { until } from '../../until.ts';
import { type Attack, count, group, type Measured } from '../attack.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { closed, HALF_CLIENT_HELLO, line, lines } from '../world/sockets.ts';
import { goodPost } from './bombs.ts';

const CONNECTIONS_MAX = 100;
const CONNECTIONS = 300;
const GOOD_POSTS = 40;
const STORM = { short: 400, long: 3000 };
const BODY_BYTES = 64 * 2 ** 20;
const CHUNK = Buffer.alloc(2 ** 16, 0x61);

const ADDRESSES = {
  'silent-sockets': '127.0.1.1',
  'half-client-hello': '127.0.1.2',
  plaintext: '127.0.1.3',
  'slow-heads': '127.0.1.4',
  'connect-storm': '127.0.1.5',
  'body-without-login': '127.0.1.6',
} as const;
type Name = keyof typeof ADDRESSES;

const from = (name: Name, { endpointPort: port }: Plant) => ({ port, localAddress: ADDRESSES[name] });

const UNIT = 'of 40 good envelopes refused or unanswered';

/** How many of the good gateway's envelopes fail. */
async function goodLost(plant: Plant): Promise<number> {
  let lost = 0;
  for (let i = 0; i < GOOD_POSTS; i += 1) {
    await goodPost(plant).catch(() => {
      lost += 1;
    });
  }
  return lost;
}

/** Holds connections while the good gateway works. */
async function beside(plant: Plant, open: () => Promise<Socket[]>): Promise<Measured> {
  // From now on its address is known.
  await goodPost(plant);
  const held = await open();
  // A connection of its own: the reserve has to have a place for it.
  plant.senders.good.close();
  const lost = await goodLost(plant);
  for (const socket of held) socket.destroy();
  return count(lost, UNIT);
}

const holding = (name: Name, say: (socket: Socket) => unknown): Attack<Plant> => ({
  name: `endpoint/${name}`,
  by: ['network'],
  run: (plant) =>
    beside(plant, async () => {
      const held = await lines(CONNECTIONS, from(name, plant));
      for (const socket of held) say(socket);
      return held;
    }),
});

/** A TLS connection without a client certificate; it may have ended. */
async function anonymous(name: Name, plant: Plant): Promise<Socket> {
  const tcp = await line(from(name, plant));
  const socket = connectTls({ socket: tcp, servername: 'localhost', ca: plant.ca.ca });
  socket.on('error', () => undefined);
  await Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), closed(tcp)]);
  return socket;
}

const slowHeads: Attack<Plant> = {
  name: 'endpoint/slow-heads',
  by: ['network'],
  async run(plant) {
    await goodPost(plant);
    const held = await Promise.all(
      Array.from({ length: CONNECTIONS_MAX }, () => anonymous('slow-heads', plant)),
    );
    const living = held.filter(({ destroyed }) => !destroyed);
    if (living.length < CONNECTIONS_MAX / 4) throw new Error(`only ${living.length} connections were let in`);
    for (const socket of living) socket.write('POST /v1/envelopes HTTP/1.1\r\nhost: localhost\r\nx-');
    const dripping = setInterval(() => {
      for (const socket of living) if (!socket.destroyed) socket.write('a');
    }, 500);
    const lost = await goodLost(plant);
    await until('every slow head is ended', () => living.every(({ destroyed }) => destroyed));
    clearInterval(dripping);
    return count(lost, UNIT);
  },
};

const storm: Attack<Plant> = {
  name: 'endpoint/connect-storm',
  by: ['network'],
  async run(plant, { isShort }) {
    await goodPost(plant);
    plant.senders.good.close();
    const over = new AbortController();
    const storming = (async () => {
      for (let i = 0; i < (isShort ? STORM.short : STORM.long) && !over.signal.aborted; i += 1)
        (await line(from('connect-storm', plant))).destroy();
    })();
    const lost = await goodLost(plant);
    await storming;
    over.abort();
    return count(lost, UNIT);
  },
};

/** How much of a body the router takes from a client that it has not let in, in MiB. */
const bigBody: Attack<Plant> = {
  name: 'endpoint/body-without-login',
  by: ['network'],
  async run(plant) {
    const before = plant.router.forgetPeak();
    const socket = await anonymous('body-without-login', plant);
    const ended = closed(socket);
    socket.resume();
    socket.write(`POST /v1/envelopes HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${BODY_BYTES}\r\n\r\n`);
    for (let sent = 0; sent < BODY_BYTES && !socket.destroyed; sent += CHUNK.length) {
      if (!socket.write(CHUNK))
        await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), ended]);
    }
    await ended;
    return count(plant.router.peak() - before, 'MiB more memory for a body of 64 MiB', 64);
  },
};

const tooLarge: Attack<Plant> = {
  name: 'endpoint/body-too-large',
  by: ['gateway'],
  async run(plant) {
    const before = plant.router.forgetPeak();
    const status = await plant.senders['gw-2'].post(Buffer.alloc(BODY_BYTES)).then(
      (answer) => answer.status,
      () => 0,
    );
    // The connection may end before the answer is read; the next one shows that it was not taken.
    if (status !== 413 && status !== 0) throw new Error(`answered with ${status}`);
    await goodPost(plant);
    return count(plant.router.peak() - before, 'MiB more memory for a body of 64 MiB', 64);
  },
};

export const endpoint = group<Plant>({
  open: (place) =>
    openPlant({ ...place, provider: 'https' }, { source: { max_connections: CONNECTIONS_MAX } }),
  attacks: [
    holding('silent-sockets', () => undefined),
    holding('half-client-hello', (socket) => socket.write(HALF_CLIENT_HELLO)),
    holding('plaintext', (socket) => socket.write('GET /v1/receipts HTTP/1.1\r\nhost: localhost\r\n\r\n')),
    slowHeads,
    storm,
    bigBody,
    tooLarge,
  ],
});
