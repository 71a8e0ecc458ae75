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

type Settled = (error: Error | null) => void;

interface UnderWay {
  packet: PublishPacket;
  /** Repetitions that wait for it. */
  waiting: Settled[];
}

export class Repetitions {
  /** By client and packet id, what is being committed. */
  readonly #underWay = new Map<string, Map<number, UnderWay>>();
  /** Digests by client and packet id, oldest first. */
  readonly #unanswered = new Map<string, string>();

  /** Tells `settled` when the publish is durable, by this call of `store` or by the earlier one that it repeats. */
  take(
    sender: Sender,
    packet: PublishPacket,
    messageId: number,
    store: (settled: Settled) => void,
    settled: Settled,
  ): void {
    if (packet.dup && this.#isRepetition(sender, packet, messageId, settled)) return;
    const own = this.#underWay.get(sender.id) ?? new Map<number, UnderWay>();
    this.#underWay.set(sender.id, own);
    const entry: UnderWay = { packet, waiting: [] };
    own.set(messageId, entry);
    store((error) => {
      this.#forget(sender.id, own, messageId, entry);
      if (!error && sender.conn.destroyed) this.#remember(nameOf(sender, messageId), packet);
      settled(error);
      for (const waits of entry.waiting) waits(error);
    });
  }

  #isRepetition(sender: Sender, packet: PublishPacket, messageId: number, settled: Settled): boolean {
    const earlier = this.#underWay.get(sender.id)?.get(messageId);
    if (earlier && isSame(earlier.packet, packet)) {
      earlier.waiting.push(settled);
      return true;
    }
    const name = nameOf(sender, messageId);
    if (this.#unanswered.get(name) !== digestOf(packet)) return false;
    this.#unanswered.delete(name);
    settled(null);
    return true;
  }

  #forget(client: string, own: Map<number, UnderWay>, messageId: number, entry: UnderWay): void {
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
