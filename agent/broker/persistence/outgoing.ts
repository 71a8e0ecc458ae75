/**
 * What the broker owes to clients with a session that outlives their connection: QoS 1 and 2 messages, in order, from when
 * they are taken until the client has acknowledged them. Bounded for each client and in all (I10); what finds no room is not
 * queued, and counted. How packets are matched is the contract of aedes-persistence.
 */
import type { AedesPublishPacket } from 'aedes';

/** A message, or the PUBREL that has taken its place. */
export interface OutgoingPacket {
  cmd: string;
  messageId?: number | undefined;
  brokerId?: string | undefined;
  brokerCounter?: number | undefined;
  topic?: string;
  payload?: Buffer | string;
}

export interface OutgoingEntry {
  /** Ascending over all clients and starts. */
  order: number;
  packet: OutgoingPacket;
}

export interface QueueLimits {
  maxQueuedMessages: number;
  maxQueuedBytes: number;
  /** Of all clients together. */
  maxTotalQueuedBytes: number;
}

interface Queue {
  entries: OutgoingEntry[];
  bytes: number;
}

export type QueueChange =
  | { kind: 'put'; client: string; entry: OutgoingEntry }
  | { kind: 'delete'; client: string; order: number };

export class OutgoingQueues {
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
  restore(client: string, entry: OutgoingEntry): void {
    this.#lastOrder = Math.max(this.#lastOrder, entry.order);
    this.#add(client, entry);
  }

  /** False when there is no room for it. */
  enqueue(client: string, packet: AedesPublishPacket): boolean {
    const { maxQueuedMessages, maxQueuedBytes, maxTotalQueuedBytes } = this.#limits;
    const size = sizeOf(packet);
    const queue = this.#queues.get(client);
    if ((queue?.entries.length ?? 0) >= maxQueuedMessages) return false;
    if ((queue?.bytes ?? 0) + size > maxQueuedBytes || this.#bytes + size > maxTotalQueuedBytes) return false;
    const entry = { order: ++this.#lastOrder, packet };
    this.#add(client, entry);
    this.#onChange({ kind: 'put', client, entry });
    return true;
  }

  /** The packet got its message id, or a PUBREL takes its place. False when there is none such. */
  update(client: string, packet: OutgoingPacket): boolean {
    for (const entry of this.#queues.get(client)?.entries ?? []) {
      const known = entry.packet;
      if (known.brokerId !== undefined && known.brokerId === packet.brokerId) {
        if (known.brokerCounter !== packet.brokerCounter) continue;
        known.messageId = packet.messageId;
      } else if (known.messageId === packet.messageId) {
        this.#resize(client, known, packet);
        entry.packet = packet;
      } else {
        continue;
      }
      this.#onChange({ kind: 'put', client, entry });
      return true;
    }
    return false;
  }

  /** The client has acknowledged it; undefined when there is none such. */
  remove(client: string, messageId: number | undefined): OutgoingPacket | undefined {
    const queue = this.#queues.get(client);
    const index = queue?.entries.findIndex(({ packet }) => packet.messageId === messageId) ?? -1;
    const [entry] = index < 0 ? [] : (queue?.entries.splice(index, 1) ?? []);
    if (!queue || !entry) return undefined;
    this.#count(queue, -1, -sizeOf(entry.packet));
    if (queue.entries.length === 0) this.#queues.delete(client);
    this.#onChange({ kind: 'delete', client, order: entry.order });
    return entry.packet;
  }

  entriesOf(client: string): readonly OutgoingEntry[] {
    return this.#queues.get(client)?.entries ?? [];
  }

  /** The session is over. */
  forget(client: string): void {
    for (const { packet, order } of [...this.entriesOf(client)]) {
      const queue = this.#queues.get(client);
      if (queue) this.#count(queue, -1, -sizeOf(packet));
      this.#onChange({ kind: 'delete', client, order });
    }
    this.#queues.delete(client);
  }

  #add(client: string, entry: OutgoingEntry): void {
    const queue = this.#queues.get(client) ?? { entries: [], bytes: 0 };
    this.#queues.set(client, queue);
    queue.entries.push(entry);
    this.#count(queue, 1, sizeOf(entry.packet));
  }

  #resize(client: string, before: OutgoingPacket, after: OutgoingPacket): void {
    const queue = this.#queues.get(client);
    if (queue) this.#count(queue, 0, sizeOf(after) - sizeOf(before));
  }

  #count(queue: Queue, messages: number, bytes: number): void {
    queue.bytes += bytes;
    this.#bytes += bytes;
    this.#messages += messages;
  }
}

function sizeOf({ topic = '', payload = '' }: OutgoingPacket): number {
  return topic.length + payload.length;
}
