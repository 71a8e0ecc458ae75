/**
 * The packets of one hostile connection, and its end. They depend on the seed and the connection's number
 * alone, so any connection of any run can be played again by itself; how connections interleave is the
 * machine's doing.
 */
import { seededEntropy } from '../../shared/entropy.ts';
import {
  acknowledgement,
  bodilessPacket,
  connectPacket,
  exactlyOnceFlow,
  Fields,
  oversized,
  publishPacket,
  subscribePacket,
  unsubscribePacket,
} from './packets.ts';

export type Leaving = 'end' | 'reset' | 'linger';

export interface Script {
  packets: Uint8Array[];
  /** Bytes per write: packets arrive torn apart and joined. */
  chunkBytes: number;
  /** Never reads what it is sent. */
  isDeaf: boolean;
  /** Waits for an answer to its CONNECT before it goes on. */
  isPatient: boolean;
  leaving: Leaving;
}

const PACKETS_MAX = 12;
/** Spreads neighbouring connection numbers over the seeds (Knuth's multiplicative hash). */
const SPREAD = 2_654_435_761;

export function scriptOf(seed: number, connection: number): Script {
  const fields = new Fields(seededEntropy((seed ^ Math.imul(connection + 1, SPREAD)) >>> 0));
  const packets: Uint8Array[] = [];
  if (fields.chance(0.9)) packets.push(maybeMutated(fields, connectPacket(fields), 0.1));
  const count = fields.below(PACKETS_MAX);
  while (packets.length < count) packets.push(...somePackets(fields));
  if (packets.length === 0) packets.push(fields.bytes(1 + fields.below(64)));
  return {
    packets,
    chunkBytes: fields.chance(0.3) ? 1 + fields.below(40) : Number.POSITIVE_INFINITY,
    isDeaf: fields.chance(0.05),
    isPatient: fields.chance(0.7),
    leaving: fields.pick(['end', 'end', 'reset', 'reset', 'linger']),
  };
}

function somePackets(fields: Fields): Uint8Array[] {
  const kind = fields.below(100);
  if (kind < 4) return [oversized(fields)];
  if (kind < 7) return [fields.bytes(1 + fields.below(64))];
  if (kind < 11) return [connectPacket(fields)];
  if (kind < 20) return exactlyOnceFlow(fields);
  const make = fields.pick([
    publishPacket,
    publishPacket,
    publishPacket,
    subscribePacket,
    subscribePacket,
    unsubscribePacket,
    acknowledgement,
    bodilessPacket,
  ]);
  return [maybeMutated(fields, make(fields), 0.3)];
}

function maybeMutated(fields: Fields, packet: Uint8Array, probability: number): Uint8Array {
  return fields.chance(probability) ? mutated(fields, packet) : packet;
}

/** Cut short, with bytes flipped, put in, taken out or doubled, or with another fixed header. */
function mutated(fields: Fields, packet: Uint8Array): Uint8Array {
  const at = fields.below(packet.length);
  const before = packet.subarray(0, at);
  switch (fields.below(7)) {
    case 0:
      return packet.subarray(0, Math.max(1, at));
    case 1:
      return Buffer.concat([before, fields.bytes(1 + fields.below(4)), packet.subarray(at)]);
    case 2:
      return Buffer.concat([before, packet.subarray(at + 1 + fields.below(4))]);
    case 3:
      return Buffer.concat([packet, before]);
    case 4:
      return withByte(packet, 0, fields.below(256));
    case 5:
      return withByte(packet, Math.min(1, packet.length - 1), fields.below(256));
    default:
      return withByte(packet, at, fields.pick([0, 0x7f, 0x80, 0xff, fields.below(256)]));
  }
}

function withByte(packet: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(packet);
  changed[at] = value;
  return changed;
}
