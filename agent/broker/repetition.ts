/**
 * QoS 1 says at least once; this makes it once where the protocol lets us tell (MQTT 3.1.1 sections 3.3.1.1 and 4.4). A
 * PUBLISH with DUP repeats an earlier one with that packet id. It is no second record when the earlier one, with the same topic
 * and payload, is being committed now, perhaps from the connection before, or was committed after its connection had
 * gone, so that no PUBACK was ever written.
 *
 * Where a PUBACK was written nobody knows whether it arrived. If it did, the id was free again, and a PUBLISH with DUP may
 * repeat a new, equal reading whose first try was lost: it is recorded, because two records are better than none.
 */
import { createHash } from 'node:crypto';
import type { PublishPacket } from 'aedes';

/** Publishes remembered whose PUBACK was never written (I10). */
const UNANSWERED_MAX = 10_000;

interface Sender {
  id: string;
  conn: { destroyed: boolean };
}

export class Repetitions {
  /** By client and packet id, what is being committed. */
  readonly #underWay = new Map<string, Map<number, { packet: PublishPacket; done: Promise<void> }>>();
  /** Digests by client and packet id, oldest first. */
  readonly #unanswered = new Map<string, string>();

  /** Resolves when the publish is durable, by this call of `store` or by the earlier one that it repeats. */
  take(sender: Sender, packet: PublishPacket, messageId: number, store: () => Promise<void>): Promise<void> {
    if (packet.dup) {
      const earlier = this.#underWay.get(sender.id)?.get(messageId);
      if (earlier && isSame(earlier.packet, packet)) return earlier.done;
      const name = nameOf(sender, messageId);
      if (this.#unanswered.get(name) === digestOf(packet)) {
        this.#unanswered.delete(name);
        return Promise.resolve();
      }
    }
    return this.#store(sender, packet, messageId, store);
  }

  #store(
    sender: Sender,
    packet: PublishPacket,
    messageId: number,
    store: () => Promise<void>,
  ): Promise<void> {
    const own = this.#underWay.get(sender.id) ?? new Map();
    this.#underWay.set(sender.id, own);
    const done = store().then(
      () => {
        this.#forget(sender.id, own, messageId, entry);
        if (sender.conn.destroyed) this.#remember(nameOf(sender, messageId), packet);
      },
      (error: unknown) => {
        this.#forget(sender.id, own, messageId, entry);
        throw error;
      },
    );
    const entry = { packet, done };
    own.set(messageId, entry);
    return done;
  }

  #forget(client: string, own: Map<number, unknown>, messageId: number, entry: unknown): void {
    if (own.get(messageId) === entry) own.delete(messageId);
    if (own.size === 0 && this.#underWay.get(client) === own) this.#underWay.delete(client);
  }

  #remember(name: string, packet: PublishPacket): void {
    this.#unanswered.delete(name);
    this.#unanswered.set(name, digestOf(packet));
    if (this.#unanswered.size <= UNANSWERED_MAX) return;
    const [oldest] = this.#unanswered.keys();
    if (oldest !== undefined) this.#unanswered.delete(oldest);
  }
}

function nameOf({ id }: Sender, messageId: number): string {
  return `${messageId} ${id}`;
}

function isSame(a: PublishPacket, b: PublishPacket): boolean {
  return a.topic === b.topic && Buffer.compare(Buffer.from(a.payload), Buffer.from(b.payload)) === 0;
}

function digestOf({ topic, payload }: PublishPacket): string {
  return createHash('sha256').update(`${topic}\0`).update(payload).digest('base64');
}
