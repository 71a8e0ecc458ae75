/**
 * A message that is held for long. Its payload came as a part of whatever block of memory the socket was read into, up to
 * 64 KiB, and would keep all of it; a copy of its own in a buffer lies among such blocks and keeps them from being used
 * again as a whole. A string of one byte per character lies on V8's heap, which is compacted.
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
  readonly isText: boolean;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup: boolean;
}

export function holdMessage(packet: OutgoingPacket): HeldMessage {
  const { brokerId, brokerCounter, topic = '', payload = '', qos = 0, retain = false, dup = false } = packet;
  const isText = typeof payload === 'string';
  return {
    brokerId,
    brokerCounter,
    topic,
    payload: isText ? payload : payload.toString('latin1'),
    isText,
    qos,
    retain,
    dup,
  };
}

/** A packet of its own for each who asks: aedes writes to it. */
export function packetOf(
  { payload, isText, ...rest }: HeldMessage,
  messageId: number | undefined,
): OutgoingPacket {
  return {
    cmd: 'publish',
    ...rest,
    payload: isText ? payload : Buffer.from(payload, 'latin1'),
    messageId,
  };
}
