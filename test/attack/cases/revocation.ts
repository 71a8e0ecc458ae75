/** Client certificates that are revoked while a connection lives, or between a session and its resumption. */
import { connect, type TLSSocket } from 'node:tls';
import { connect as connectPacket } from '../../agent/broker/conformance/packets.ts';
import { until } from '../../until.ts';
import { type Attack, count, group } from '../attack.ts';
import { signed } from '../bytes/envelope.ts';
import { openPlant } from '../world/open-plant.ts';
import type { Plant } from '../world/plant.ts';
import { Site } from '../world/site.ts';
import { closed } from '../world/sockets.ts';

const TAKEN = 200;

interface Session {
  socket: TLSSocket;
  /** The server's tickets for a resumption, newest last. */
  tickets: Buffer[];
  received: () => string;
}

/** The device `evil` over TLS with its certificate, resuming `ticket`; CONNECT is on its way. */
async function device(
  { ca, ports, certificates }: Site,
  version: 'TLSv1.2' | 'TLSv1.3',
  ticket?: Buffer,
): Promise<Session> {
  const socket = connect({
    port: ports.tls,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: ca.ca,
    maxVersion: version,
    ...certificates.get('evil'),
    ...(ticket && { session: ticket }),
  });
  const tickets: Buffer[] = [];
  let received = '';
  socket.on('error', () => undefined);
  socket.on('session', (session) => tickets.push(session));
  socket.setEncoding('hex').on('data', (hex: string) => {
    received += hex;
  });
  socket.once('secureConnect', () => socket.write(connectPacket('evil', { username: 'evil' })));
  await Promise.race([new Promise((resolve) => socket.once('data', resolve)), closed(socket)]);
  return { socket, tickets, received: () => received };
}

const isIn = ({ received, socket }: Session): boolean =>
  received().startsWith('20020000') && !socket.destroyed;

const atBroker: Attack<Site> = {
  name: 'tls/revoked-at-broker',
  by: ['device'],
  async run(site) {
    const living = await Promise.all([device(site, 'TLSv1.2'), device(site, 'TLSv1.3')]);
    // The second took the first one's client id over: one lives.
    if (!living.some(isIn)) throw new Error('the device was not let in before');
    const tickets = living.flatMap((one) => one.tickets);
    await site.revoke('evil');
    await until('living connections end', () => living.every(({ socket }) => socket.destroyed));
    let again = 0;
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const ticket of [undefined, ...tickets]) {
        const session = await device(site, version, ticket);
        if (isIn(session)) again += 1;
        session.socket.destroy();
      }
    }
    return count(again, 'connections of a revoked device, new or resumed');
  },
};

const atEndpoint: Attack<Plant> = {
  name: 'tls/revoked-at-endpoint',
  by: ['gateway'],
  async run(plant) {
    const open = (version: 'TLSv1.2' | 'TLSv1.3', session?: Buffer) =>
      connect({
        port: plant.endpointPort,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: plant.ca.ca,
        maxVersion: version,
        ...plant.certificate('gw-2'),
        ...(session && { session }),
      });
    let seq = 0;
    /** Whether an envelope over this connection is taken. */
    const isTaken = async (socket: TLSSocket): Promise<boolean> => {
      seq += 1;
      const bytes = signed({ gateway: 'gw-2', epoch: '1-0000000c', seqs: [seq] }, plant.keys['gw-2']);
      let text = '';
      socket
        .on('error', () => undefined)
        .on('data', (chunk) => {
          text += chunk;
        });
      socket.write(
        `POST /v1/envelopes HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${bytes.length}\r\n\r\n`,
      );
      socket.write(bytes);
      await until('an answer, or the end', () => text.includes('\r\n\r\n') || socket.destroyed);
      return text.startsWith(`HTTP/1.1 ${TAKEN}`);
    };
    const living = [open('TLSv1.2'), open('TLSv1.3')];
    const tickets: Buffer[] = [];
    for (const socket of living) socket.on('session', (ticket) => tickets.push(ticket));
    for (const socket of living)
      if (!(await isTaken(socket))) throw new Error('not taken before it was revoked');
    await plant.revoke('gw-2');
    await until('living connections end', () => living.every(({ destroyed }) => destroyed));
    let again = 0;
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      for (const ticket of [undefined, ...tickets]) {
        const socket = open(version, ticket);
        if (await isTaken(socket)) again += 1;
        socket.destroy();
      }
    }
    return count(again, 'envelopes over connections of a revoked gateway, new or resumed');
  },
};

export const revokedDevices = group<Site>({ open: () => Site.open(), attacks: [atBroker] });

export const revokedGateways = group<Plant>({
  open: (place) => openPlant({ ...place, provider: 'https' }),
  attacks: [atEndpoint],
});
