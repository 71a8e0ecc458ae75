/** Guessing and flooding at the broker's login. */

import type { Socket } from 'node:net';
import { connect as connectPacket } from '../../agent/broker/conformance/packets.ts';
import { CONNACK_OK } from '../../agent/broker/raw-client.ts';
import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { Device, PASSWORD, Site } from '../world/site.ts';
import { line } from '../world/sockets.ts';

const FLOOD = { short: 200, long: 1200 };
const GUESSES = 60;
/** Wrong passwords of a name from one address that are computed in a minute. */
const GUESSES_MAX = 10;
const GOOD_LOGINS = 20;

/** Logins with wrong passwords, each on a connection of its own; nobody waits for the answers. */
async function wrongLogins(port: number, times: number, localAddress: string): Promise<() => void> {
  const sockets: Socket[] = [];
  for (let i = 0; i < times; i += 1) {
    const socket = await line({ port, localAddress });
    socket.write(connectPacket(`x-${i}`, { username: `x-${i}`, password: 'wrong' }));
    sockets.push(socket);
  }
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

async function goodRefused(port: number, localAddress: string): Promise<number> {
  let refused = 0;
  for (let i = 0; i < GOOD_LOGINS; i += 1) {
    const device = await Device.login({ port, localAddress });
    if (!device) refused += 1;
    device?.socket.destroy();
  }
  return refused;
}

const REFUSED = `of ${GOOD_LOGINS} good logins refused`;

const scryptFlood: Attack<Site> = {
  name: 'login/scrypt-flood',
  by: ['network', 'device'],
  async run({ ports }, { isShort }) {
    const end = await wrongLogins(ports.tcp, isShort ? FLOOD.short : FLOOD.long, '127.0.3.1');
    // One that the agent does not remember has its turn too.
    const fresh = await Device.login({ port: ports.tcp, name: 'fresh', localAddress: '127.0.3.2' });
    const refused = await goodRefused(ports.tcp, '127.0.3.2');
    end();
    fresh?.socket.destroy();
    return count(refused + Number(fresh === null), REFUSED);
  },
};

const behindNat: Attack<Site> = {
  name: 'login/behind-nat',
  by: ['network', 'device'],
  async run({ ports }) {
    const localAddress = '127.0.3.3';
    for (let i = 0; i < GUESSES; i += 1) {
      const evil = await Device.login({ port: ports.tcp, name: 'evil', password: 'wrong', localAddress });
      if (evil) throw new Error('a wrong password was taken');
    }
    return count(await goodRefused(ports.tcp, localAddress), `${REFUSED}, from the attacker’s address`);
  },
};

const guesses: Attack<Site> = {
  name: 'login/guesses',
  by: ['network'],
  async run(site) {
    const before = await site.refusals('bad-credentials');
    for (let i = 0; i < GUESSES; i += 1) {
      const options = { port: site.ports.tcp, name: 'good', password: `guess ${i}` };
      if (await Device.login({ ...options, localAddress: '127.0.3.4' })) throw new Error('guessed');
    }
    const computed = (await site.refusals('bad-credentials')) - before;
    return count(computed, `of ${GUESSES} guesses compared`, GUESSES_MAX);
  },
};

/** The broker's whole answer to a login, in hex. */
async function answer(port: number, packet: Buffer): Promise<string> {
  const device = new Device({ port, localAddress: '127.0.3.5' });
  device.socket.write(packet);
  await new Promise<void>((resolve) => device.socket.once('close', () => resolve()));
  return device.received;
}

/** Which devices there are, told by different answers. */
const enumeration: Attack<Site> = {
  name: 'login/names-of-devices',
  by: ['network'],
  async run({ ports }) {
    const asked = ['good', 'nobody'].map((name) => [
      connectPacket(name, { username: name, password: 'wrong' }),
      connectPacket(name),
      connectPacket(name, { username: name }),
      connectPacket('x', { username: name, password: PASSWORD.slice(1) }),
    ]);
    const [known = [], unknown = []] = await Promise.all(
      asked.map((packets) => Promise.all(packets.map((packet) => answer(ports.tcp, packet)))),
    );
    return count(known.filter((text, i) => text !== unknown[i]).length, 'of 4 answers tell a device’s name');
  },
};

/** MQTT 3.1's longest client id. */
const ID_CHARS_MAX = 23;
const PINGREQ = Buffer.from([0xc0, 0]);

/** The broker's answer to an anonymous client; the connection stays. */
async function anonymous(port: number, packet: Buffer): Promise<Device> {
  const device = new Device({ port, localAddress: '127.0.3.6' });
  device.socket.write(packet);
  await until('an answer', () => device.isEnded || device.received.length >= CONNACK_OK.length);
  return device;
}

/** As CONNECT of MQTT 3.1: another protocol name and level. */
function ofMqtt31(clientId: string): Buffer {
  const name = Buffer.from('MQIsdp');
  const rest = Buffer.concat([Buffer.of(3, 2, 0, 60, 0, clientId.length), Buffer.from(clientId)]);
  const content = Buffer.concat([Buffer.of(0, name.length), name, rest]);
  return Buffer.concat([Buffer.of(0x10, content.length), content]);
}

/** The broker's treatment of the client ids of a name. */
async function traces(port: number, name: string): Promise<string[]> {
  const first = await anonymous(port, connectPacket(name));
  const same = await anonymous(port, connectPacket(`~/${name}`));
  // The broker ends a connection before it answers the one that took its client id.
  first.socket.write(PINGREQ);
  const answered = first.received.length;
  await until('an answer, or the end', () => first.isEnded || first.received.length > answered);
  const old = await anonymous(port, ofMqtt31(`${name}/`.padEnd(ID_CHARS_MAX, 'x')));
  const spare = await anonymous(port, connectPacket(`${name}/spare`));
  const found = [first.received, String(first.isEnded), same.received, old.received, spare.received];
  for (const device of [first, same, old, spare]) device.socket.destroy();
  return found;
}

/** With `allow_anonymous`: a client id that is a device's is treated as any other. */
const byAnonymousId: Attack<Site> = {
  name: 'login/names-by-anonymous-id',
  by: ['network'],
  async run() {
    const site = await Site.open({ broker: { allow_anonymous: true } });
    try {
      const known = await traces(site.ports.tcp, 'good');
      const unknown = await traces(site.ports.tcp, 'nobody');
      const telling = known.filter((text, i) => text !== unknown[i]);
      return count(telling.length, `of ${known.length} traces tell a device’s name`);
    } finally {
      await site.stop();
    }
  },
};

export const logins = group<Site>({
  open: () =>
    Site.open({
      broker: {
        max_connect_rate_per_address: 0,
        max_pending_per_address: 2000,
        max_connections: 3000,
        max_connect_rate: 0,
      },
    }),
  attacks: [scryptFlood, behindNat, guesses, enumeration, byAnonymousId],
});
