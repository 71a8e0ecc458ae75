/**
 * QoS 2, taken once (MQTT 3.1.1 section 4.3.3). The record is stored before aedes notes the packet id, never
 * after: aedes answers a packet id that it has noted with PUBREC at once, so noting first would acknowledge a
 * retransmission while the commit is still under way, or after it failed (I1). Retransmissions that arrive
 * during the commit wait for it here; later ones are found in aedes' list until PUBREL. Where the session
 * outlives its connection, the packet id lies in the same commit as the record, so that a retransmission is
 * known also after the agent was killed.
 *
 * A publish repeats an earlier one when it has the same packet id, topic and payload. Other content under a
 * packet id that waits for PUBREL comes from a device that lost its state: it is a new message, with or
 * without DUP, as for mosquitto. Dropping it would lose a reading that the device was told is safe.
 */
import type { Client, PublishPacket } from 'aedes';
import type { SessionItem } from '../../store/types.ts';
import { contentDigest } from '../persistence/content-digest.ts';
import { incomingItem, type Sessions } from '../persistence/sessions.ts';

/** Stores the record, and the session's item if and only if the record is stored. */
type StoreRecord = (session: SessionItem | null) => Promise<void>;

interface Commit {
  digest: string;
  over: Promise<void>;
}

export class Qos2 {
  readonly #sessions: Sessions;
  /**
   * Commits under way by packet id. A session that outlives its connection is known by its client id, another
   * by its connection.
   */
  readonly #underWay = new Map<Client | string, Map<number, Commit>>();

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /**
   * Resolves when the publish is durable, by this call of `store` or by an earlier one for the same packet id
   * and content. Rejects as `store` does.
   */
  async take(client: Client, packet: PublishPacket, messageId: number, store: StoreRecord): Promise<void> {
    const session = client.clean ? client : client.id;
    const digest = contentDigest(packet);
    const commits = this.#underWay.get(session) ?? new Map<number, Commit>();
    const earlier = commits.get(messageId);
    const over = this.#after(earlier, { client, packet, messageId, digest }, store);
    if (earlier?.digest !== digest) {
      const commit = { digest, over };
      this.#underWay.set(session, commits);
      commits.set(messageId, commit);
      const forget = (): void => {
        if (commits.get(messageId) === commit) commits.delete(messageId);
        if (commits.size === 0 && this.#underWay.get(session) === commits) this.#underWay.delete(session);
      };
      over.then(() => setImmediate(forget), forget);
    }
    await over;
  }

  async #after(earlier: Commit | undefined, publish: Publish, store: StoreRecord): Promise<void> {
    if (earlier) {
      const isRepetition = earlier.digest === publish.digest;
      await earlier.over.catch((error: unknown) => {
        // The failure of another message is not this one's.
        if (isRepetition) throw error;
      });
      // The earlier one goes on to note the packet id; after that, aedes knows this one for a repetition.
      await new Promise(setImmediate);
      if (isRepetition) return;
    }
    await this.#unlessNoted(publish, store);
  }

  async #unlessNoted({ client, packet, messageId, digest }: Publish, store: StoreRecord): Promise<void> {
    const noted = this.#sessions.incomingDigest(client.id, messageId);
    // Null: noted by a version that kept no digests. Then DUP tells, as well as it can.
    const isRepetition = noted === null ? packet.dup === true : noted === digest;
    if (isRepetition) return;
    await store(client.clean ? null : incomingItem(client.id, messageId, digest));
    if (noted !== undefined) await this.#sessions.forgetIncoming(client, messageId);
  }
}

interface Publish {
  client: Client;
  packet: PublishPacket;
  messageId: number;
  digest: string;
}
