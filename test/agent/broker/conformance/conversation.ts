/**
 * Conversations with a broker as data: who sends which bytes, and which packets the broker sends to whom.
 * Each conversation has a broker of its own, over real sockets.
 */
import t, { type Test } from 'tap';
import type { Publish } from '../../../../agent/broker/intake.ts';
import { until } from '../../../until.ts';
import { startBroker } from '../fixture.ts';
import { RawClient } from '../raw-client.ts';
import { connack, connect, PINGREQ, PINGRESP, publish, splitPackets } from './packets.ts';

interface Room {
  t: Test;
  port: number;
  connections(): number;
  recorded: Publish[];
  clients: Map<string, { socket: RawClient; heard: number }>;
  /** Packet ids that the broker chose, by client, in the order in which they came. */
  idsOf: Map<string, string[]>;
}

type Step = (room: Room) => Promise<void>;

export interface Conversation {
  /** With the statements that it shows, as `[MQTT-3.2.2-2]`. */
  name: string;
  steps: readonly Step[];
}

/**
 * Sends bytes; a client that is not connected opens a connection first. In PUBACK, PUBREC and PUBCOMP, packet
 * id 1 is the first that the broker chose for this client, 2 the second, and so on.
 */
export function says(who: string, ...packets: readonly Uint8Array[]): Step {
  return async ({ port, clients, idsOf }) => {
    const client = clients.get(who) ?? { socket: await RawClient.open(port), heard: 0 };
    clients.set(who, client);
    client.socket.send(Buffer.concat(packets.map((packet) => withChosenId(packet, idsOf.get(who) ?? []))));
  };
}

/**
 * The next packets that a client gets are these, in this order. In PUBLISH and PUBREL, packet id 1 is the
 * first that the broker chose for this client, 2 the second, and so on.
 */
export function hears(who: string, ...expected: readonly Uint8Array[]): Step {
  return async ({ t, clients, idsOf }) => {
    const client = clientOf(clients, who);
    const end = client.heard + expected.length;
    await until(`${who} hears ${expected.length} packets`, () => {
      return splitPackets(client.socket.received).length >= end || client.socket.ended;
    });
    const ids = idsOf.get(who) ?? [];
    idsOf.set(who, ids);
    t.same(
      splitPackets(client.socket.received)
        .slice(client.heard, end)
        .map((hex) => withNumberedId(hex, ids)),
      expected.map((bytes) => Buffer.from(bytes).toString('hex')),
      `${who} hears`,
    );
    client.heard = end;
  };
}

/** The broker has ended the connection, and sent nothing more before. */
export function ends(who: string): Step {
  return async ({ t, clients }) => {
    const { socket, heard } = clientOf(clients, who);
    await until(`the broker ends the connection of ${who}`, () => socket.ended);
    t.same(splitPackets(socket.received).slice(heard), [], `${who} heard nothing more`);
    clients.delete(who);
  };
}

/** The client's connection breaks; the broker knows. */
export function cuts(who: string): Step {
  return async ({ clients, connections }) => {
    const { socket } = clientOf(clients, who);
    const before = connections();
    socket.close();
    clients.delete(who);
    await until(`the connection of ${who} is gone`, () => connections() < before);
  };
}

/** A connection that is accepted, with or without a session from before. */
export function joins(who: string, fields: Parameters<typeof connect>[1] = {}, isPresent = false): Step[] {
  return [says(who, connect(who, fields)), hears(who, connack(0, isPresent))];
}

/** The broker answers a PINGREQ next: it has sent this client nothing else. */
export function hearsNothing(who: string): Step[] {
  return [says(who, PINGREQ), hears(who, PINGRESP)];
}

/**
 * Nothing that `from` published before went to `to`, which subscribes to `fence`: a broker keeps the order.
 */
export function passesBy(from: string, to: string): Step[] {
  return [says(from, publish('fence', 'x')), hears(to, publish('fence', 'x'))];
}

/** Exactly these topics were recorded so far, in this order. */
export function records(...topics: readonly string[]): Step {
  return async ({ t, recorded }) => {
    await until(`${topics.length} records`, () => recorded.length >= topics.length);
    t.same(
      recorded.map(({ topic }) => topic),
      topics,
      'recorded',
    );
  };
}

export function converse(
  conversations: readonly Conversation[],
  options: Parameters<typeof startBroker>[1] = {},
): void {
  for (const { name, steps } of conversations) {
    t.test(name, async (t) => {
      const recorded: Publish[] = [];
      const { broker, port } = await startBroker((publish, settled) => {
        recorded.push(publish);
        settled(null);
      }, options);
      t.teardown(() => broker.stop());
      const connections = (): number => broker.stats().connections;
      const room: Room = { t, port, recorded, connections, clients: new Map(), idsOf: new Map() };
      t.teardown(() => {
        for (const { socket } of room.clients.values()) socket.close();
      });
      for (const step of steps) await step(room);
    });
  }
}

function clientOf(clients: Room['clients'], who: string): { socket: RawClient; heard: number } {
  const client = clients.get(who);
  if (!client) throw new Error(`${who} has not connected`);
  return client;
}

/** PUBACK, PUBREC and PUBCOMP. */
const ACKNOWLEDGEMENTS: readonly number[] = [0x40, 0x50, 0x70];

function withChosenId(packet: Uint8Array, ids: readonly string[]): Uint8Array {
  if (!ACKNOWLEDGEMENTS.includes(packet[0] ?? 0)) return packet;
  const id = ids[((packet[2] ?? 0) << 8) + (packet[3] ?? 0) - 1];
  return id === undefined ? packet : Buffer.concat([packet.subarray(0, 2), Buffer.from(id, 'hex')]);
}

function withNumberedId(hex: string, ids: string[]): string {
  const at = chosenIdAt(Buffer.from(hex, 'hex'));
  if (at === null) return hex;
  const id = hex.slice(2 * at, 2 * at + 4);
  if (!ids.includes(id)) ids.push(id);
  const number = (ids.indexOf(id) + 1).toString(16).padStart(4, '0');
  return hex.slice(0, 2 * at) + number + hex.slice(2 * at + 4);
}

/** Where the packet id is in a PUBREL, and in a short PUBLISH of QoS 1 or 2. */
function chosenIdAt(packet: Buffer): number | null {
  const first = packet[0] ?? 0;
  if (first === 0x62) return 2;
  return first >> 4 === 3 && (first & 6) !== 0 ? 4 + packet.readUInt16BE(2) : null;
}
