/**
 * QoS 2, taken once (MQTT 3.1.1 section 4.3.3). The record is stored before aedes notes the packet id, never
 * after: aedes answers a packet id that it has noted with PUBREC at once, so noting first would acknowledge a
 * retransmission while the commit is still under way, or after it failed (I1). Retransmissions that arrive
 * during the commit wait for it here; later ones are found in aedes' own list until PUBREL. Where the session
 * outlives its connection, the packet id lies in the same commit as the record, so that a retransmission is
 * known also after the agent was killed.
 */
import type { Aedes, Client, PublishPacket } from 'aedes';
import type { SessionItem } from '../../store/file/session-items.ts';
import { incomingItem } from '../persistence/sessions.ts';

/** Stores the record, and with it what must not be there without it. */
type StoreRecord = (session: SessionItem | null) => Promise<void>;

/** aedes' list of packet ids that wait for PUBREL; rejects when the id is not in it. */
interface IncomingPackets {
  incomingGetPacket(client: Client, packet: PublishPacket): Promise<unknown>;
}

export class Qos2 {
  readonly #incoming: IncomingPackets;
  /**
   * Commits under way by packet id. A session that outlives its connection is known by its client id, another
   * by its connection.
   */
  readonly #underWay = new Map<Client | string, Map<number, Promise<void>>>();

  constructor(aedes: Aedes) {
    const persistence: unknown = Reflect.get(aedes, 'persistence');
    if (!holdsIncoming(persistence)) throw new Error('aedes changed: no list of incoming packets');
    this.#incoming = persistence;
  }

  /**
   * Resolves when the publish is durable, by this call of `store` or by an earlier one for the same packet
   * id.
   */
  async take(client: Client, packet: PublishPacket, messageId: number, store: StoreRecord): Promise<void> {
    const session = client.clean ? client : client.id;
    const commits = this.#underWay.get(session) ?? new Map<number, Promise<void>>();
    const earlier = commits.get(messageId);
    if (earlier) {
      await earlier;
      // The first one goes on to note the packet id; after that, aedes knows this one for a repetition.
      await new Promise(setImmediate);
      return;
    }
    this.#underWay.set(session, commits);
    const item = client.clean ? null : incomingItem(client.id, messageId);
    const commit = this.#unlessNoted(client, packet, () => store(item));
    commits.set(messageId, commit);
    const forget = (): void => {
      commits.delete(messageId);
      if (commits.size === 0 && this.#underWay.get(session) === commits) this.#underWay.delete(session);
    };
    commit.then(() => setImmediate(forget), forget);
    await commit;
  }

  async #unlessNoted(client: Client, packet: PublishPacket, store: () => Promise<void>): Promise<void> {
    const noted = await this.#incoming.incomingGetPacket(client, packet).then(
      () => true,
      () => false,
    );
    if (!noted) await store();
  }
}

function holdsIncoming(value: unknown): value is IncomingPackets {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof Reflect.get(value, 'incomingGetPacket') === 'function'
  );
}
