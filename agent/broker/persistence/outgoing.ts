/**
 * The outgoing QoS 1 and 2 messages of clients with a persistent session, in order, from acceptance until the
 * client has acknowledged them. The queues are bounded for each client and in total (I10); a message without
 * room is dropped and counted. aedes-persistence defines how packets are matched.
 *
 * A message may be queued for days and for many clients: it is stored once, apart from the block of memory
 * that it was read into.
 */
import { deviceOf } from './device-of.ts';
import { contentBytes, type HeldMessage, HeldMessages, type OutgoingPacket } from './held-message.ts';
import type { OutgoingItems } from './session-log.ts';

export interface QueueLimits {
  maxQueuedMessages: number;
  maxQueuedBytes: number;
  /** Over all client ids of one device. */
  maxQueuedBytesPerDevice: number;
  /** Over all clients. */
  maxTotalQueuedBytes: number;
}

/**
 * The queue of one client: three parallel arrays, because an object per message would take twice the memory.
 */
interface Queue {
  /** Of the client. */
  readonly device: string;
  /** Ascending over all clients and restarts. */
  readonly orders: number[];
  /** Null: the client has received the message, and PUBREL is pending. */
  readonly messages: Array<HeldMessage | null>;
  /** {@link UNNUMBERED} until the message is sent. */
  readonly messageIds: number[];
  bytes: number;
  /** Position of the last match: clients receive and acknowledge messages in order. */
  cursor: number;
}

/** No packet has this id (MQTT 3.1.1, 2.3.1). */
const UNNUMBERED = 0;

/** `repeated`: the message had this id before, and is sent again. */
export type QueueUpdate = 'changed' | 'repeated' | 'none';

export type QueueChange =
  | { kind: 'put'; client: string; order: number; isNew: boolean }
  | { kind: 'delete'; client: string; order: number };

export class OutgoingQueues implements OutgoingItems {
  readonly #limits: QueueLimits;
  readonly #onChange: (change: QueueChange) => void;
  readonly #held = new HeldMessages();
  readonly #queues = new Map<string, Queue>();
  readonly #bytesByDevice = new Map<string, number>();
  #lastOrder = 0;
  #bytes = 0;
  #messages = 0;

  constructor(limits: QueueLimits, onChange: (change: QueueChange) => void) {
    this.#limits = limits;
    this.#onChange = onChange;
  }

  get messages(): number {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Restores a message stored before a restart; ascending by order. */
  restore(client: string, order: number, packet: OutgoingPacket): void {
    this.#lastOrder = Math.max(this.#lastOrder, order);
    this.#add(client, order, this.#messageOf(packet), packet.messageId);
  }

  /** Queues a message for each of the clients; returns the clients whose queue has no room. */
  enqueue(clients: readonly string[], packet: OutgoingPacket): string[] {
    const message = this.#held.hold(packet);
    return clients.filter((client) => !this.#enqueue(client, message));
  }

  /** Sets the message id of the packet, or replaces the message by its PUBREL. */
  update(client: string, packet: OutgoingPacket): QueueUpdate {
    const queue = this.#queues.get(client);
    const at = queue ? find(queue, (place) => this.#isSame(queue, place, packet)) : -1;
    if (!queue || at < 0) return 'none';
    const before = queue.messages[at] ?? null;
    const { messageId = UNNUMBERED } = packet;
    const isNumbered = before !== null && this.#held.isOfBroker(before, packet);
    // The same message id as before: nothing to write.
    if (isNumbered && queue.messageIds[at] === messageId) return 'repeated';
    if (isNumbered) queue.messageIds[at] = messageId;
    else {
      const message = this.#messageOf(packet);
      this.#count(queue, 0, sizeOf(message) - sizeOf(before));
      queue.messages[at] = message;
    }
    this.#onChange({ kind: 'put', client, order: queue.orders[at] ?? 0, isNew: false });
    return 'changed';
  }

  /** The client has acknowledged the packet; undefined when there is no such packet. */
  remove(client: string, messageId: number | undefined): OutgoingPacket | undefined {
    const queue = this.#queues.get(client);
    const wanted = messageId ?? UNNUMBERED;
    const at = queue ? find(queue, (place) => queue.messageIds[place] === wanted) : -1;
    if (!queue || at < 0) return undefined;
    const packet = this.#packetIn(queue, at);
    const order = queue.orders[at] ?? 0;
    this.#count(queue, -1, -sizeOf(queue.messages[at] ?? null));
    for (const list of [queue.orders, queue.messages, queue.messageIds]) list.splice(at, 1);
    if (queue.orders.length === 0) this.#queues.delete(client);
    this.#onChange({ kind: 'delete', client, order });
    return packet;
  }

  /** The packets that are queued for the client now, in order. */
  *packetsFor(client: string): Iterable<OutgoingPacket> {
    const orders = [...(this.#queues.get(client)?.orders ?? [])];
    for (const order of orders) {
      const packet = this.packetAt(client, order);
      if (packet) yield packet;
    }
  }

  /** The session has ended. */
  forget(client: string): void {
    const queue = this.#queues.get(client);
    if (!queue) return;
    this.#queues.delete(client);
    this.#count(queue, -queue.orders.length, -queue.bytes);
    for (const order of queue.orders) this.#onChange({ kind: 'delete', client, order });
  }

  packetAt(client: string, order: number): OutgoingPacket | undefined {
    const queue = this.#queues.get(client);
    if (!queue) return undefined;
    let [low, high] = [0, queue.orders.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((queue.orders[middle] ?? 0) < order) low = middle + 1;
      else high = middle;
    }
    return queue.orders[low] === order ? this.#packetIn(queue, low) : undefined;
  }

  *names(): Iterable<{ client: string; order: number }> {
    for (const [client, { orders }] of this.#queues) for (const order of orders) yield { client, order };
  }

  #enqueue(client: string, message: HeldMessage): boolean {
    const { maxQueuedMessages, maxQueuedBytes, maxTotalQueuedBytes, maxQueuedBytesPerDevice } = this.#limits;
    const size = sizeOf(message);
    const queue = this.#queues.get(client);
    if ((queue?.orders.length ?? 0) >= maxQueuedMessages) return false;
    if ((queue?.bytes ?? 0) + size > maxQueuedBytes || this.#bytes + size > maxTotalQueuedBytes) return false;
    const ofDevice = this.#bytesByDevice.get(queue?.device ?? deviceOf(client)) ?? 0;
    if (ofDevice + size > maxQueuedBytesPerDevice) return false;
    const order = ++this.#lastOrder;
    this.#add(client, order, message, undefined);
    this.#onChange({ kind: 'put', client, order, isNew: true });
    return true;
  }

  #add(client: string, order: number, message: HeldMessage | null, messageId: number | undefined): void {
    const known = this.#queues.get(client);
    const device = deviceOf(client);
    const queue = known ?? { device, orders: [], messages: [], messageIds: [], bytes: 0, cursor: 0 };
    if (!known) this.#queues.set(client, queue);
    queue.orders.push(order);
    queue.messages.push(message);
    queue.messageIds.push(messageId ?? UNNUMBERED);
    this.#count(queue, 1, sizeOf(message));
  }

  #isSame({ messages, messageIds }: Queue, at: number, packet: OutgoingPacket): boolean {
    const message = messages[at] ?? null;
    const isByCounter =
      packet.brokerId !== undefined && message !== null && this.#held.isOfBroker(message, packet);
    if (isByCounter) return this.#held.is(message, packet);
    return messageIds[at] === (packet.messageId ?? UNNUMBERED);
  }

  #messageOf(packet: OutgoingPacket): HeldMessage | null {
    return packet.cmd === 'pubrel' ? null : this.#held.hold(packet);
  }

  #packetIn({ messages, messageIds }: Queue, at: number): OutgoingPacket {
    const message = messages[at] ?? null;
    const messageId = messageIds[at] || undefined;
    return message === null ? { cmd: 'pubrel', messageId } : this.#held.packet(message, messageId);
  }

  #count(queue: Queue, messages: number, bytes: number): void {
    queue.bytes += bytes;
    this.#bytes += bytes;
    const ofDevice = (this.#bytesByDevice.get(queue.device) ?? 0) + bytes;
    if (ofDevice > 0) this.#bytesByDevice.set(queue.device, ofDevice);
    else this.#bytesByDevice.delete(queue.device);
    this.#messages += messages;
  }
}

/** Returns the position of the match and leaves the cursor there; -1 when nothing matches. */
function find(queue: Queue, matches: (at: number) => boolean): number {
  const { length } = queue.orders;
  for (let step = 0; step < length; step++) {
    const at = (queue.cursor + step) % length;
    if (!matches(at)) continue;
    queue.cursor = at;
    return at;
  }
  return -1;
}

function sizeOf(message: HeldMessage | null): number {
  return message === null ? 0 : contentBytes(message);
}
