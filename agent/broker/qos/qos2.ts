/**
 * QoS 2, exactly once (MQTT 3.1.1 section 4.3.3). The record is stored before aedes notes the packet id,
 * never after: aedes answers a noted packet id with PUBREC at once, so noting it first would acknowledge a
 * retransmission while the commit is still under way, or after it failed (I1). Retransmissions that arrive
 * during the commit wait for it here; later ones are found in aedes' list until PUBREL. For a persistent
 * session, the packet id is in the same commit as the record, so a retransmission is also recognised after
 * the agent was killed.
 *
 * A publish repeats an earlier one when packet id, topic and payload are the same. Other content under a
 * packet id that waits for PUBREL comes from a device that lost its state: it is a new message, with or
 * without DUP, as in mosquitto. Dropping it would lose a reading that was acknowledged to the device.
 */
import type { Client, PublishPacket } from 'aedes';
import type { SessionItem } from '../../store/types.ts';
import { contentDigest } from '../persistence/content-digest.ts';
import { incomingItem } from '../persistence/incoming-item.ts';
import type { Sessions } from '../persistence/sessions.ts';

/** Stores the record, and the session item if and only if the record is stored. */
type StoreRecord = (session: SessionItem | null) => Promise<void>;

interface Commit {
  digest: string;
  over: Promise<void>;
}

export class Qos2 {
  readonly #sessions: Sessions;
  /**
   * Commits under way by packet id. The key is the client id for a persistent session, the connection for a
   * clean one.
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
        // The failure of another message does not fail this one.
        if (isRepetition) throw error;
      });
      // The earlier publish goes on to note the packet id; after that, aedes treats this one as a repetition.
      await new Promise(setImmediate);
      if (isRepetition) return;
    }
    await this.#unlessNoted(publish, store);
  }

  async #unlessNoted({ client, packet, messageId, digest }: Publish, store: StoreRecord): Promise<void> {
    const noted = this.#sessions.incomingDigest(client.id, messageId);
    // Null: an older version noted it without a digest. Then only DUP tells, which is less certain.
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
