/** MQTT 3.1.1 control packets as bytes, with field values that only a hostile client sends. */
import type { Entropy } from '../../shared/entropy.ts';

/**
 * Names that an object has without being given them, what the protocol reserves, and what text encodings
 * forbid.
 */
const STRINGS: readonly Uint8Array[] = [
  ...[
    '',
    'constructor',
    '__proto__',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
    'a',
    'plant/line/pump',
    'plant/line/alarm',
    '#',
    '+',
    '+/+/#',
    'plant/+/alarm',
    'plant/#/alarm',
    'a#',
    '/',
    '//',
    '/a/',
    '$SYS/uptime',
    '$SYS/#',
    '$share/group/plant/#',
    '$headgate/refused',
    'constructor/__proto__/#',
    'a\0b',
    '\uFEFF',
    '\uFFFF',
    'größe/温度/🌡',
    'undefined',
    'NaN',
    '0',
    '%s%n',
    'x'.repeat(200),
    'x'.repeat(1024),
    'x'.repeat(5000),
    'x'.repeat(65_535),
    '/'.repeat(40),
    '/'.repeat(60_000),
    '+/'.repeat(2000),
  ].map((text) => Buffer.from(text)),
  Buffer.from('80', 'hex'),
  Buffer.from('c080', 'hex'),
  Buffer.from('eda080', 'hex'),
  Buffer.from('f5808080', 'hex'),
  Buffer.from('612fff2f62', 'hex'),
];
const SHORT_STRINGS = STRINGS.filter(({ length }) => length < 64);
const PACKET_IDS = [0, 1, 2, 3, 4, 255, 256, 65_535];
const CLIENT_IDS = 400;

/** Draws values from a list of critical ones. */
export class Fields {
  readonly #entropy: Entropy;

  constructor(entropy: Entropy) {
    this.#entropy = entropy;
  }

  below(bound: number): number {
    return Math.floor(this.#entropy.float() * bound);
  }

  chance(probability: number): boolean {
    return this.#entropy.float() < probability;
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }

  bytes(length: number): Uint8Array {
    return this.#entropy.bytes(length);
  }

  /** Now and then one of the long ones. */
  string(): Uint8Array {
    const from = this.chance(0.03) ? STRINGS : SHORT_STRINGS;
    return from[this.below(from.length)] ?? Buffer.alloc(0);
  }

  packetId(): number {
    return PACKET_IDS[this.below(PACKET_IDS.length)] ?? 1;
  }

  clientId(): Uint8Array {
    return this.chance(0.2) ? this.string() : Buffer.from(`fuzz/${this.below(CLIENT_IDS)}`);
  }
}

/** CONNECT, section 3.1: mostly what a broker takes, so that what follows is read. */
export function connectPacket(fields: Fields): Uint8Array {
  const isOdd = fields.chance(0.15);
  const name = isOdd ? fields.pick(['MQIsdp', 'MQTT', 'mqtt', 'MQTTT']) : 'MQTT';
  const level = isOdd ? fields.pick([3, 4, 5, 6, 131, 132, 0, 255]) : 4;
  const hasWill = fields.chance(0.3);
  const willQos = fields.pick([0, 1, 2]);
  const isWillRetained = fields.chance(0.3);
  const isClean = fields.chance(0.7);
  const hasUser = isOdd && fields.chance(0.5);
  const flags =
    (isClean ? 2 : 0) |
    (hasWill ? 4 | (willQos << 3) | (isWillRetained ? 32 : 0) : 0) |
    (hasUser ? 0xc0 : 0) |
    (isOdd && fields.chance(0.3) ? fields.below(256) : 0);
  return packet(0x10, [
    prefixed(Buffer.from(name)),
    Uint8Array.of(level, flags),
    uint16(fields.pick([0, 1, 60, 65_535])),
    prefixed(fields.clientId()),
    ...(hasWill ? [prefixed(fields.string()), prefixed(fields.bytes(fields.below(40)))] : []),
    ...(hasUser ? [prefixed(fields.string()), prefixed(fields.bytes(fields.below(20)))] : []),
  ]);
}

export function publishPacket(fields: Fields): Uint8Array {
  const qos = fields.pick([0, 1, 2]);
  const flags = (fields.chance(0.2) ? 8 : 0) | (qos << 1) | (fields.chance(0.2) ? 1 : 0);
  return packet(0x30 | flags, [
    prefixed(fields.string()),
    ...(qos === 0 ? [] : [uint16(fields.packetId())]),
    fields.bytes(fields.chance(0.02) ? fields.below(20_000) : fields.below(100)),
  ]);
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP of publishes that never were, or in an order that never is. */
export function acknowledgement(fields: Fields): Uint8Array {
  return packet(fields.pick([0x40, 0x50, 0x62, 0x70]), [uint16(fields.packetId())]);
}

export function subscribePacket(fields: Fields): Uint8Array {
  const filters = Array.from({ length: 1 + fields.below(4) }, () => [
    prefixed(fields.string()),
    Uint8Array.of(fields.pick([0, 1, 2])),
  ]);
  return packet(0x82, [uint16(fields.packetId()), ...filters.flat()]);
}

export function unsubscribePacket(fields: Fields): Uint8Array {
  const filters = Array.from({ length: 1 + fields.below(4) }, () => prefixed(fields.string()));
  return packet(0xa2, [uint16(fields.packetId()), ...filters]);
}

/** PINGREQ, DISCONNECT, and what only a server sends. */
export function bodilessPacket(fields: Fields): Uint8Array {
  return packet(fields.pick([0xc0, 0xc0, 0xe0, 0xd0, 0x20, 0x90, 0xb0, 0xf0, 0x00]), []);
}

/** QoS 2 by the book and then once more, out of order, and with another packet of the same id between. */
export function exactlyOnceFlow(fields: Fields): Uint8Array[] {
  const id = uint16(fields.packetId());
  const topic = prefixed(Buffer.from('plant/line/pump'));
  const publish = (flags: number): Uint8Array => packet(0x34 | flags, [topic, id, fields.bytes(20)]);
  const steps = [publish(0), publish(8), packet(0x62, [id]), packet(0x62, [id]), packet(0x50, [id])];
  steps.push(packet(0x70, [id]), packet(0x40, [id]), packet(0x32, [topic, id]), publish(8));
  return Array.from({ length: 2 + fields.below(6) }, () => steps[fields.below(steps.length)] ?? publish(0));
}

/**
 * A fixed header that promises more than a packet may be, or whose length never ends (section 2.2.3), and
 * little behind it.
 */
export function oversized(fields: Fields): Uint8Array {
  const type = fields.pick([0x10, 0x30, 0x32, 0x34, 0x82, 0xa2, 0xc0]);
  const length = fields.pick(['ffffff7f', 'ffffffff01', 'ffffffffff7f', '80808001', '8080808000', 'ffff7f']);
  return Buffer.concat([Uint8Array.of(type), Buffer.from(length, 'hex'), fields.bytes(fields.below(300))]);
}

function prefixed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([uint16(bytes.length), bytes]);
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** Fixed header with the remaining length as a variable byte integer, section 2.2.3. */
function packet(type: number, parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const header = [type];
  for (let rest = body.length; ; rest >>= 7) {
    header.push((rest & 127) | (rest > 127 ? 128 : 0));
    if (rest <= 127) break;
  }
  return Buffer.concat([Uint8Array.from(header), body]);
}
