/**
 * A message that is held for long, maybe with a hundred thousand others. Its payload came as a part of whatever block of memory the
 * socket was read into, up to 64 KiB, and would keep all of it; a copy of its own in a buffer lies among such blocks and keeps
 * them from being used again as a whole. A string of one byte per character lies on V8's heap, which is compacted. Topics that
 * come again and again are one string.
 */

/** A message, or the PUBREL that has taken its place. */
export interface OutgoingPacket {
  cmd: string;
  messageId?: number | undefined;
  brokerId?: string | undefined;
  brokerCounter?: number | undefined;
  topic?: string;
  payload?: Buffer | string;
  qos?: 0 | 1 | 2;
  retain?: boolean;
  dup?: boolean;
}

export interface HeldMessage {
  readonly brokerId: string | undefined;
  readonly brokerCounter: number | undefined;
  readonly topic: string;
  /** Bytes as characters (latin1), unless it came as text. */
  readonly payload: string;
  /** The QoS in the lowest two bits, and the next three. */
  readonly flags: number;
}

const QOS_BITS = 3;
const RETAIN = 4;
const DUP = 8;
const TEXT = 16;
const QOS = [0, 1, 2] as const;

/** So many are remembered, then none (I10). */
const TOPICS_MAX = 1000;
const topics = new Map<string, string>();

export function holdMessage(packet: OutgoingPacket): HeldMessage {
  const { brokerId, brokerCounter, topic = '', payload = '', qos = 0, retain = false, dup = false } = packet;
  const isText = typeof payload === 'string';
  return {
    brokerId,
    brokerCounter,
    topic: known(topic),
    payload: isText ? payload : payload.toString('latin1'),
    flags: qos | (retain ? RETAIN : 0) | (dup ? DUP : 0) | (isText ? TEXT : 0),
  };
}

/** A packet of its own for each who asks: aedes writes to it. */
export function packetOf(
  { brokerId, brokerCounter, topic, payload, flags }: HeldMessage,
  messageId: number | undefined,
): OutgoingPacket {
  return {
    cmd: 'publish',
    brokerId,
    brokerCounter,
    topic,
    payload: flags & TEXT ? payload : Buffer.from(payload, 'latin1'),
    qos: QOS[flags & QOS_BITS] ?? 0,
    retain: (flags & RETAIN) !== 0,
    dup: (flags & DUP) !== 0,
    messageId,
  };
}

function known(topic: string): string {
  const found = topics.get(topic);
  if (found !== undefined) return found;
  if (topics.size >= TOPICS_MAX) topics.clear();
  topics.set(topic, topic);
  return topic;
}
