/**
 * What the broker owes to clients with a session that outlives their connection: QoS 1 and 2 messages, in order, from when
 * they are taken until the client has acknowledged them. Bounded for each client and in all (I10); what finds no room is not
 * queued, and counted. How packets are matched is the contract of aedes-persistence.
 *
 * A message may wait for days, for many clients: it is held once, apart from the block of memory that it was read into.
 */
import { type HeldMessage, holdMessage, type OutgoingPacket, packetOf } from './held-message.ts';
import type { OutgoingItems } from './session-log.ts';

export interface QueueLimits {
  maxQueuedMessages: number;
  maxQueuedBytes: number;
  /** Of all clients together. */
  maxTotalQueuedBytes: number;
}

interface Entry {
  /** Ascending over all clients and starts. */
  readonly order: number;
  /** Null: the client has it, and a PUBREL is owed. */
  message: HeldMessage | null;
  messageId: number | undefined;
}

interface Queue {
  entries: Entry[];
  bytes: number;
  /** Where the last match was: clients are sent messages, and acknowledge them, in order. */
  cursor: number;
}

export type QueueChange =
  | { kind: 'put'; client: string; order: number; isNew: boolean }
  | { kind: 'delete'; client: string; order: number };

export class OutgoingQueues implements OutgoingItems {
  readonly #limits: QueueLimits;
  readonly #onChange: (change: QueueChange) => void;
  readonly #queues = new Map<string, Queue>();
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

  /** What was stored before a restart, ascending by order. */
  restore(client: string, order: number, packet: OutgoingPacket): void {
    this.#lastOrder = Math.max(this.#lastOrder, order);
    this.#add(client, { order, message: messageOf(packet), messageId: packet.messageId });
  }

  /** Queues a message for each of the clients, and gives those that there was no room for. */
  enqueue(clients: readonly string[], packet: OutgoingPacket): string[] {
    const message = holdMessage(packet);
    return clients.filter((client) => !this.#enqueue(client, message));
  }

  /** The packet got its message id, or a PUBREL takes its place. False when there is none such. */
  update(client: string, packet: OutgoingPacket): boolean {
    const queue = this.#queues.get(client);
    const entry = queue && find(queue, (known) => isSame(known, packet));
    if (!entry) return false;
    const isNumbered = entry.message !== null && entry.message.brokerId === packet.brokerId;
    // Sent once more, as it was: nothing to write.
    if (isNumbered && entry.messageId === packet.messageId) return true;
    if (isNumbered) entry.messageId = packet.messageId;
    else {
      const message = messageOf(packet);
      this.#count(queue, 0, sizeOf(message) - sizeOf(entry.message));
      entry.message = message;
    }
    this.#onChange({ kind: 'put', client, order: entry.order, isNew: false });
    return true;
  }

  /** The client has acknowledged it; undefined when there is none such. */
  remove(client: string, messageId: number | undefined): OutgoingPacket | undefined {
    const queue = this.#queues.get(client);
    const entry = queue && find(queue, (known) => known.messageId === messageId);
    if (!entry) return undefined;
    queue.entries.splice(queue.cursor, 1);
    this.#count(queue, -1, -sizeOf(entry.message));
    if (queue.entries.length === 0) this.#queues.delete(client);
    this.#onChange({ kind: 'delete', client, order: entry.order });
    return outgoingPacketOf(entry);
  }

  /** What waits for the client now, in order. */
  *packetsFor(client: string): Iterable<OutgoingPacket> {
    for (const entry of [...(this.#queues.get(client)?.entries ?? [])]) yield outgoingPacketOf(entry);
  }

  /** The session is over. */
  forget(client: string): void {
    const queue = this.#queues.get(client);
    if (!queue) return;
    this.#queues.delete(client);
    this.#count(queue, -queue.entries.length, -queue.bytes);
    for (const { order } of queue.entries) this.#onChange({ kind: 'delete', client, order });
  }

  packetAt(client: string, order: number): OutgoingPacket | undefined {
    const entries = this.#queues.get(client)?.entries ?? [];
    let [low, high] = [0, entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((entries[middle]?.order ?? 0) < order) low = middle + 1;
      else high = middle;
    }
    const entry = entries[low];
    return entry?.order === order ? outgoingPacketOf(entry) : undefined;
  }

  *names(): Iterable<{ client: string; order: number }> {
    for (const [client, { entries }] of this.#queues)
      for (const { order } of entries) yield { client, order };
  }

  #enqueue(client: string, message: HeldMessage): boolean {
    const { maxQueuedMessages, maxQueuedBytes, maxTotalQueuedBytes } = this.#limits;
    const size = sizeOf(message);
    const queue = this.#queues.get(client);
    if ((queue?.entries.length ?? 0) >= maxQueuedMessages) return false;
    if ((queue?.bytes ?? 0) + size > maxQueuedBytes || this.#bytes + size > maxTotalQueuedBytes) return false;
    const order = ++this.#lastOrder;
    this.#add(client, { order, message, messageId: undefined });
    this.#onChange({ kind: 'put', client, order, isNew: true });
    return true;
  }

  #add(client: string, entry: Entry): void {
    const queue = this.#queues.get(client) ?? { entries: [], bytes: 0, cursor: 0 };
    this.#queues.set(client, queue);
    queue.entries.push(entry);
    this.#count(queue, 1, sizeOf(entry.message));
  }

  #count(queue: Queue, messages: number, bytes: number): void {
    queue.bytes += bytes;
    this.#bytes += bytes;
    this.#messages += messages;
  }
}

/** Leaves the cursor at what it found. */
function find(queue: Queue, matches: (entry: Entry) => boolean): Entry | undefined {
  const { entries, cursor } = queue;
  for (let step = 0; step < entries.length; step++) {
    const at = (cursor + step) % entries.length;
    const entry = entries[at];
    if (!entry || !matches(entry)) continue;
    queue.cursor = at;
    return entry;
  }
  return undefined;
}

function isSame({ message, messageId }: Entry, packet: OutgoingPacket): boolean {
  if (message?.brokerId !== undefined && message.brokerId === packet.brokerId)
    return message.brokerCounter === packet.brokerCounter;
  return messageId === packet.messageId;
}

function messageOf(packet: OutgoingPacket): HeldMessage | null {
  return packet.cmd === 'pubrel' ? null : holdMessage(packet);
}

function outgoingPacketOf({ message, messageId }: Entry): OutgoingPacket {
  return message === null ? { cmd: 'pubrel', messageId } : packetOf(message, messageId);
}

function sizeOf(message: HeldMessage | null): number {
  return message === null ? 0 : message.topic.length + message.payload.length;
}
