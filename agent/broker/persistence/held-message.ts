/**
 * A message that is stored for long, perhaps among a hundred thousand others. Its payload is a slice of the
 * block of up to 64 KiB that the socket was read into, and would keep the whole block alive. A Buffer copy
 * would lie among such blocks and fragment them. A string of one byte per character lies on V8's heap, which
 * is compacted. One string per message, with its positions in the arrays of a queue, takes half the memory of
 * an object with fields.
 */
import { Scratch } from '../../../shared/scratch.ts';

/** A message, or the PUBREL that has replaced it. */
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

/**
 * `<broker>.<counter>;<flags>;<topic bytes>;<topic><payload>`, numbers in decimal, bytes as characters
 * (latin1). The broker is an index into the ids known to {@link HeldMessages}. Broker and counter are empty
 * when the packet has none.
 */
export type HeldMessage = string;

/** The QoS is in the lowest two bits; the flags are the next three. */
const QOS_BITS = 3;
const RETAIN = 4;
const DUP = 8;
const TEXT = 16;
const QOS = [0, 1, 2] as const;

/** Converts packets to strings and back. */
export class HeldMessages {
  readonly #scratch = new Scratch();
  /**
   * Ids of this process and of earlier ones whose messages are still queued: each occurs in at least one
   * message (I10).
   */
  readonly #brokerIds: string[] = [];

  hold(packet: OutgoingPacket): HeldMessage {
    const { topic = '', payload = '', qos = 0, retain = false, dup = false } = packet;
    const isText = typeof payload === 'string';
    const flags = qos | (retain ? RETAIN : 0) | (dup ? DUP : 0) | (isText ? TEXT : 0);
    const head = `${this.#origin(packet)}${flags};${Buffer.byteLength(topic)};`;
    // String concatenation would keep a tree (rope) of the parts.
    const room = this.#scratch.room(head.length + Buffer.byteLength(topic) + Buffer.byteLength(payload));
    let end = room.write(head, 'latin1');
    end += room.write(topic, end);
    end += isText ? room.write(payload, end) : payload.copy(room, end);
    return room.toString('latin1', 0, end);
  }

  /** A new object for each call, because aedes writes to it. */
  packet(message: HeldMessage, messageId: number | undefined): OutgoingPacket {
    const [origin = '', flagsText, topicBytes] = message.split(';', 3);
    const [broker = '', counter = ''] = origin.split('.');
    const flags = Number(flagsText);
    const content = Buffer.from(message.slice(startOfContent(message)), 'latin1');
    const payload = content.subarray(Number(topicBytes));
    return {
      cmd: 'publish',
      brokerId: broker === '' ? undefined : this.#brokerIds[Number(broker)],
      brokerCounter: counter === '' ? undefined : Number(counter),
      topic: content.toString('utf8', 0, Number(topicBytes)),
      payload: flags & TEXT ? payload.toString() : payload,
      qos: QOS[flags & QOS_BITS] ?? 0,
      retain: (flags & RETAIN) !== 0,
      dup: (flags & DUP) !== 0,
      messageId,
    };
  }

  /** Whether both have the same broker id, or both none. */
  isOfBroker(message: HeldMessage, { brokerId }: OutgoingPacket): boolean {
    return message.startsWith(`${this.#broker(brokerId)}.`);
  }

  /** Whether broker id and counter are those of the packet. */
  is(message: HeldMessage, packet: OutgoingPacket): boolean {
    return message.startsWith(this.#origin(packet));
  }

  #origin({ brokerId, brokerCounter }: OutgoingPacket): string {
    return `${this.#broker(brokerId)}.${brokerCounter ?? ''};`;
  }

  #broker(brokerId: string | undefined): string {
    if (brokerId === undefined) return '';
    const known = this.#brokerIds.indexOf(brokerId);
    return String(known >= 0 ? known : this.#brokerIds.push(brokerId) - 1);
  }
}

/** Bytes of topic and payload. */
export function contentBytes(message: HeldMessage): number {
  return message.length - startOfContent(message);
}

function startOfContent(message: HeldMessage): number {
  let at = 0;
  for (let field = 0; field < 3; field++) at = message.indexOf(';', at) + 1;
  return at;
}
