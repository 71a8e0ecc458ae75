/** Devices and strangers at the agent's broker. The device `good` works on beside each. */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import {
  connect as connectPacket,
  PINGREQ,
  publish,
  subscribe,
} from '../../agent/broker/conformance/packets.ts';
import { until } from '../../until.ts';
import { type Attack, type Attacker, count, group } from '../attack.ts';
import { latencies, ratio } from '../world/ratio.ts';
import { Device, Site } from '../world/site.ts';
import { answerTo, closed, HALF_CLIENT_HELLO, line, lines } from '../world/sockets.ts';

const CONNECTIONS = 400;
const LOGINS = 20;
const STORM = { short: 400, long: 3000 };
const PUBLISHES = 30;
const RATIO_MAX = 8;
const MIB = 2 ** 20;
const MEMORY_MIB_MAX = 96;
const LARGE_CONNECTIONS = 50;
const RETAINED_BYTES = 60_000;
const RETAINED = 300;
/** `max_retained_bytes_per_device`. */
const RETAINED_MIB_MAX = 8;
const SESSIONS = 60;
/** `max_sessions_per_device`. */
const SESSIONS_MAX = 16;
const FRAGMENTS = 20_000;

const ADDRESSES = new Map<string, string>();
/** An address for each attack: its budgets are its own. */
function from(name: string): string {
  const known = ADDRESSES.get(name) ?? `127.0.2.${ADDRESSES.size + 1}`;
  ADDRESSES.set(name, known);
  return known;
}

/** How many logins and publishes of the good device fail. */
async function goodLost({ ports }: Site): Promise<number> {
  let lost = 0;
  for (let i = 0; i < LOGINS; i += 1) {
    const device = await Device.login({ port: ports.tcp, clientId: `good/${i % 2}` });
    if (device === null || !(await device.publish('plant/good', `${i}`))) lost += 1;
    device?.socket.destroy();
  }
  return lost;
}

const LOST = `of ${LOGINS} good logins or publishes refused`;

function holding(name: string, port: 'tcp' | 'ws' | 'tls', say: (socket: Socket) => unknown): Attack<Site> {
  return {
    name: `broker/${name}`,
    by: ['network', 'device'],
    async run(site) {
      const held = await lines(CONNECTIONS, { port: site.ports[port], localAddress: from(name) });
      for (const socket of held) say(socket);
      const lost = await goodLost(site);
      for (const socket of held) socket.destroy();
      return count(lost, LOST);
    },
  };
}

const storm: Attack<Site> = {
  name: 'broker/connect-storm',
  by: ['network', 'device'],
  async run(site, { isShort }) {
    const storming = (async () => {
      for (let i = 0; i < (isShort ? STORM.short : STORM.long); i += 1)
        (await line({ port: site.ports.tcp, localAddress: from('connect-storm') })).destroy();
    })();
    const lost = await goodLost(site);
    await storming;
    return count(lost, LOST);
  },
};

/** Memory that large packets take, announced in full and sent as far as the broker reads. */
function large(
  name: string,
  by: Attacker,
  open: (site: Site) => Promise<Socket | null>,
  start: Buffer,
): Attack<Site> {
  return {
    name: `broker/${name}`,
    by: [by],
    async run(site) {
      const before = site.agent.forgetPeak();
      let held: Socket[] = [];
      for (let i = 0; i < LARGE_CONNECTIONS; i += 1) {
        const socket = await open(site);
        if (!socket) continue;
        socket.write(start);
        socket.write(Buffer.alloc(MIB, 0x61));
        held.push(socket);
      }
      if (held.length === 0) throw new Error('no connection was let in');
      for (const socket of held) await closed(socket);
      held = [];
      return count(
        site.agent.peak() - before,
        `MiB more memory for ${LARGE_CONNECTIONS} packets of 256 MiB`,
        MEMORY_MIB_MAX,
      );
    },
  };
}

/** A device that floods with packets of one kind, beside one that publishes. */
function flood(name: string, bytes: Buffer): Attack<Site> {
  return {
    name: `broker/${name}`,
    by: ['device'],
    async run(site) {
      const good = await Device.login({ port: site.ports.tcp });
      if (!good) throw new Error('the good device was refused');
      let lost = 0;
      const figure = await ratio(
        () =>
          latencies(PUBLISHES, async () => {
            if (!(await good.publish('plant/good', 'x'))) lost += 1;
          }),
        async (signal, begun) => {
          const localAddress = from(name);
          const evil = await Device.login({ port: site.ports.tcp, name: 'evil', localAddress });
          if (!evil) throw new Error('the device was refused');
          await evil.flood(bytes, signal, begun);
        },
      );
      good.socket.destroy();
      if (lost > 0) throw new Error(`${lost} good publishes were not acknowledged`);
      return { figure, bound: RATIO_MAX, unit: 'times a good publish’s median' };
    },
  };
}

const many = (times: number, one: Buffer): Buffer => Buffer.concat(Array.from({ length: times }, () => one));
const FILTERS = Array.from({ length: 50 }, (_, i) => [`plant/${i}/+/#`, 1] as const);

const fragments: Attack<Site> = {
  name: 'broker/websocket-fragments',
  by: ['network'],
  async run(site) {
    const before = site.agent.forgetPeak();
    const socket = new WebSocket(`ws://127.0.0.1:${site.ports.ws}`, 'mqtt', {
      localAddress: from('fragments'),
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('open', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    for (let i = 0; i < FRAGMENTS && socket.readyState === socket.OPEN; i += 1) {
      socket.send(Buffer.of(0x10), { fin: false });
      if (i % 100 === 0) await new Promise(setImmediate);
    }
    await ended;
    return count(site.agent.peak() - before, `MiB more memory for ${FRAGMENTS} fragments`, MEMORY_MIB_MAX);
  },
};

/** Handshakes of a browser: each has to be refused. */
const origins: Attack<Site> = {
  name: 'broker/websocket-origin',
  by: ['network'],
  async run({ ports }) {
    const hosts: ReadonlyArray<readonly [string, string]> = [
      [`127.0.0.1:${ports.ws}`, 'http://evil.example'],
      ['evil.example', 'http://evil.example'],
      [`evil.example:${ports.ws}`, `http://evil.example:${ports.ws}`],
      [`127.0.0.1:${ports.ws}`, 'null'],
      [`localhost:${ports.ws}`, `http://localhost:${ports.ws}`],
    ];
    let taken = 0;
    for (const [host, origin] of hosts) {
      const head = `GET / HTTP/1.1\r\nhost: ${host}\r\norigin: ${origin}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-protocol: mqtt\r\n\r\n`;
      // Where it is let in, silence ends it.
      const answer = await answerTo({ port: ports.ws, localAddress: from('origin') }, Buffer.from(head));
      if (answer.startsWith('HTTP/1.1 101')) taken += 1;
    }
    return count(taken, `of ${hosts.length} web pages let in`);
  },
};

const retained: Attack<Site> = {
  name: 'broker/retained-bytes',
  by: ['device'],
  async run(site) {
    const good = await Device.login({ port: site.ports.tcp });
    const evil = await Device.login({ port: site.ports.tcp, name: 'evil', localAddress: from('retained') });
    if (!good || !evil) throw new Error('a device was refused');
    await good.publish('plant/good/state', 'kept', true);
    const payload = Buffer.alloc(RETAINED_BYTES, 0x61);
    for (let i = 0; i < RETAINED && !evil.isEnded; i += 1)
      await evil.publish(`plant/evil/${i}`, payload, true);
    const messages = await site.agent.metric('headgate_agent_broker_retained_messages');
    const reader = await Device.login({ port: site.ports.tcp, name: 'fresh' });
    reader?.socket.write(subscribe(1, ['plant/good/state', 1]));
    await until('the good device’s message', () =>
      reader?.received.includes(Buffer.from('kept').toString('hex')),
    );
    for (const one of [good, evil, reader]) one?.socket.destroy();
    return count(
      Math.floor((messages * RETAINED_BYTES) / MIB),
      'MiB retained of one device',
      RETAINED_MIB_MAX,
    );
  },
};

const sessions: Attack<Site> = {
  name: 'broker/sessions',
  by: ['device'],
  async run({ ports, agent }) {
    let kept = 0;
    for (let i = 0; i < SESSIONS; i += 1) {
      const localAddress = from('sessions');
      const one = await Device.login({
        port: ports.tcp,
        name: 'evil',
        clientId: `evil/${i}`,
        localAddress,
        clean: false,
      });
      if (one) kept += 1;
      one?.socket.destroy();
    }
    const good = await Device.login({ port: ports.tcp, clientId: 'good/kept', clean: false });
    if (!good) throw new Error('the good device got no session');
    good.socket.destroy();
    if ((await agent.metric('headgate_agent_broker_sessions')) < 2) throw new Error('no session was kept');
    return count(kept, 'sessions of one device', SESSIONS_MAX);
  },
};

/** Packets that the standard forbids: none becomes a record. */
const illFormed: Attack<Site> = {
  name: 'broker/ill-formed-text',
  by: ['device'],
  async run(site) {
    const before = (await site.status()).buffer.rows;
    const topics = [
      Buffer.from('plant/a\0b'),
      Buffer.from([0x70, 0xff, 0xfe]),
      Buffer.from([0x70, 0xed, 0xa0, 0x80]),
      Buffer.from('plant/+'),
      Buffer.from([0x70, 0xc0, 0xaf]),
    ];
    for (const topic of topics) {
      const evil = await Device.login({ port: site.ports.tcp, name: 'evil', localAddress: from('text') });
      if (!evil) throw new Error('the device was refused');
      evil.socket.write(publish(topic, 'x', { qos: 1 }));
      await closed(evil.socket);
    }
    return count((await site.status()).buffer.rows - before, 'records of topics that are none');
  },
};

/** Another device's topic, its client id, a topic of the broker. */
const impersonation: Attack<Site> = {
  name: 'broker/impersonation',
  by: ['device'],
  async run(site) {
    const good = await Device.login({ port: site.ports.tcp });
    if (!good) throw new Error('the good device was refused');
    const before = (await site.status()).buffer.rows;
    const localAddress = from('impersonation');
    const asGood = await Device.login({ port: site.ports.tcp, name: 'evil', clientId: 'good', localAddress });
    const evil = await Device.login({ port: site.ports.tcp, name: 'evil', localAddress });
    if (!evil) throw new Error('the device was refused');
    for (const topic of ['devices/good/x', '$SYS/broker/x', 'other/x']) await evil.publish(topic, 'x');
    const rows = (await site.status()).buffer.rows - before;
    const isAlive = await good.publish('plant/good', 'x');
    for (const one of [good, evil, asGood]) one?.socket.destroy();
    return count(
      rows + Number(asGood !== null) + Number(!isAlive),
      'records or connections of another device',
    );
  },
};

const tcp = (name: string) => (site: Site) => line({ port: site.ports.tcp, localAddress: from(name) });

export const broker = group<Site>({
  open: () => Site.open({ broker: { connect_timeout: '5s', max_connections: 300 } }),
  attacks: [
    holding('silent-sockets', 'tcp', () => undefined),
    holding('half-client-hello', 'tls', (socket) => socket.write(HALF_CLIENT_HELLO)),
    holding('half-upgrade', 'ws', (socket) => socket.write('GET / HTTP/1.1\r\nhost: x\r\nupgr')),
    holding('half-connect', 'tcp', (socket) => socket.write(connectPacket('x').subarray(0, 8))),
    storm,
    large('connect-of-256-mib', 'network', tcp('large'), Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])),
    large(
      'publish-of-256-mib',
      'device',
      async (site) =>
        (
          await Device.login({
            port: site.ports.tcp,
            name: 'evil',
            clientId: 'evil/large',
            localAddress: from('large-publish'),
          })
        )?.socket ?? null,
      Buffer.from([0x32, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x05]),
    ),
    flood('subscribe-flood', many(20, subscribe(1, ...FILTERS))),
    flood('ping-flood', many(5000, PINGREQ)),
    flood('publish-flood', many(200, publish('plant/evil', 'x'.repeat(40)))),
    fragments,
    origins,
    retained,
    sessions,
    illFormed,
    impersonation,
  ],
});
