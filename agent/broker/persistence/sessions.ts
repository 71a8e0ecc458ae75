/**
 * The broker's sessions: aedes' own memory persistence, with every change noted for the disk, queues with
 * bounds, and what was there before a restart. An answer that promises a change waits for it: a SUBACK and an
 * UNSUBACK while the disk works, a PUBCOMP always, because a packet id that were still noted after a crash
 * would make a new reading look like an old one.
 */
import { Readable } from 'node:stream';
import type { AedesPublishPacket } from 'aedes';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { topicMatches } from '../../../shared/policy/topic-filter.ts';
import type { SessionItem } from '../../store/types.ts';
import { SubscribedTopics } from '../aedes/subscribed-topics.ts';
import { contentDigest } from './content-digest.ts';
import { Dropped, type DropReason } from './dropped.ts';
import type { OutgoingPacket } from './held-message.ts';
import { IncomingDigests } from './incoming-digests.ts';
import { MemoryPersistence } from './memory-persistence.ts';
import { OutgoingQueues, type QueueLimits } from './outgoing.ts';
import { readPacket, type StoredPacket, writtenPacket } from './packet.ts';
import { encodeItem, SessionLog, type SessionStore } from './session-log.ts';

export interface SessionLimits extends QueueLimits {
  maxSessions: number;
  /** Since the client was last connected, by monotonic time since the start. */
  expireAfterMs: number;
  maxRetainedMessages: number;
  maxRetainedBytes: number;
}

/**
 * What is remembered to have begun before the disk was there (I10); of more, the disk's state comes back as
 * it was.
 */
const BEGUN_MAX = 10_000;

/** The filter by which a session without subscriptions is one. Filters that begin with `$` are refused. */
export const SESSION_PRESENT = '$headgate/session';

interface ClientOf {
  id: string;
}

export interface Will {
  client: string;
  topic: string;
  payload: Buffer;
  qos: 0 | 1 | 2;
  retain: boolean;
}

export interface SessionsOptions {
  /** Filters of topics whose records there are none of: what of them is under way needs no disk. */
  localTopics?: readonly string[];
  store: SessionStore;
  clock: Clock;
  limits: SessionLimits;
  log: Logger;
}

export class Sessions extends MemoryPersistence {
  /** Subscriptions of sessions that are kept, and, by the broker's hand, of clients that are here. */
  readonly subscribedTopics = new SubscribedTopics();
  readonly #store: SessionStore;
  readonly #log: SessionLog;
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #localTopics: readonly string[];
  readonly #dropped: Dropped;
  readonly #outgoing: OutgoingQueues;
  readonly #retainedBytes = new Map<string, number>();
  /** Clients with a session; since when they are away, or null while they are connected. */
  readonly #away = new Map<string, number | null>();
  /** Clients with a session from before their present connection. */
  readonly #resumed = new Set<string>();
  readonly #incomingDigests = new IncomingDigests();
  readonly #ownerless = new Map<string, Will>();
  /** Before {@link restore}: clients, and {@link retainedName}s. */
  readonly #begun = new Set<string>();
  readonly #restoreListeners: Array<() => void> = [];
  #isRestored: boolean = false;
  #retainedTotal = 0;

  constructor({ store, clock, limits, log, localTopics = [] }: SessionsOptions) {
    super();
    this.#store = store;
    this.#localTopics = localTopics;
    this.#clock = clock;
    this.#limits = limits;
    this.#dropped = new Dropped(clock, log);
    this.#outgoing = new OutgoingQueues(limits, (change) => {
      if (change.kind === 'delete') this.#log.outgoingDelete(change.client, change.order);
      else this.#log.outgoingPut(change.client, change.order, change.isNew);
    });
    this.#log = new SessionLog(store, clock, this.#outgoing);
    store.onReopen(() => void this.restore());
  }

  /**
   * Takes over what is on the disk, once it is open: at the start, or when the disk comes back. What began
   * here meanwhile stands, and the disk's state of it is over: its client was told that there is no session
   * [MQTT-3.2.2-3].
   */
  async restore(): Promise<void> {
    if (!this.#store.isOpen || this.#isRestored) return;
    const outgoing: Array<{ client: string; order: number; packet: StoredPacket }> = [];
    for (const { kind, client, key, value } of this.#store.takeSessions()) {
      if (value === null) continue;
      if (this.#begun.has(kind === 'retained' ? retainedName(key) : client)) {
        this.#log.forget(kind, client, key);
        continue;
      }
      const found = readPacket(value);
      if (!found) {
        // Its checksum is the file's; what is left is a session that lacks something, not an agent that does
        // not start (I9).
        this.#dropped.add('unreadable', `${kind} ${client} ${key}`);
        continue;
      }
      if (kind !== 'outgoing') this.#log.restore(kind, client, key, () => writtenPacket(found));
      // A will alone is no session: the client may have had a clean one.
      if (client !== '' && kind !== 'will') this.#away.set(client, this.#clock.monoMs());
      switch (kind) {
        case 'subscription':
          this.subscribedTopics.add(key);
          await super.addSubscriptions({ id: client }, [{ topic: key, qos: found.qos }]);
          break;
        case 'retained':
          await super.storeRetained(found);
          this.#countRetained(key, found.topic.length + found.payload.length);
          break;
        case 'outgoing':
          outgoing.push({ client, order: found.order, packet: found });
          break;
        case 'incoming':
          await super.incomingStorePacket({ id: client }, found);
          if (found.messageId !== undefined)
            this.#incomingDigests.set(client, found.messageId, found.digest ?? null);
          break;
        case 'will':
          this.#ownerless.set(client, willOf(client, found));
          break;
      }
    }
    outgoing.sort((a, b) => a.order - b.order);
    for (const { client, order, packet } of outgoing) this.#outgoing.restore(client, order, packet);
    this.#isRestored = true;
    this.#begun.clear();
    for (const listener of this.#restoreListeners) listener();
  }

  /** Called when what was on the disk has been taken over. */
  onRestored(listener: () => void): void {
    this.#restoreListeners.push(listener);
  }

  /** Whether a client may have a session: it has one, or there is room for one more. */
  hasRoomFor(client: string): boolean {
    return this.#away.has(client) || this.#away.size < this.#limits.maxSessions;
  }

  connected(client: string): void {
    this.#begins(client);
    if (this.#away.has(client)) this.#resumed.add(client);
    this.#away.set(client, null);
  }

  /** Of clients that were connected when the agent ended without a word, and have not come back. */
  ownerlessWills(): Will[] {
    return [...this.#ownerless.values()];
  }

  disconnected(client: string): void {
    if (this.#away.has(client)) this.#away.set(client, this.#clock.monoMs());
  }

  /** Ends the sessions of clients that have been away for too long. */
  async expire(): Promise<void> {
    const before = this.#clock.monoMs() - this.#limits.expireAfterMs;
    for (const [client, awayMs] of this.#away) {
      if (awayMs === null || awayMs > before) continue;
      await this.cleanSubscriptions({ id: client });
      await this.cleanIncoming({ id: client });
      this.#dropped.add('session-expired', client);
    }
  }

  /** Resolves when all changes so far are on the disk, or it has failed. */
  flush(): Promise<void> {
    return this.#log.flushIfPossible();
  }

  counts(): { sessions: number; retained: number; queuedMessages: number; queuedBytes: number } {
    return {
      sessions: this.#away.size,
      retained: this.#retainedBytes.size,
      queuedMessages: this.#outgoing.messages,
      queuedBytes: this.#outgoing.bytes,
    };
  }

  /** What was not kept since start. */
  dropped(): ReadonlyMap<DropReason, number> {
    return this.#dropped.counts;
  }

  override async storeRetained(packet: AedesPublishPacket): Promise<void> {
    const { topic } = packet;
    const bytes = packet.payload.length === 0 ? 0 : topic.length + packet.payload.length;
    const total = this.#retainedTotal - (this.#retainedBytes.get(topic) ?? 0) + bytes;
    const isOne =
      this.#retainedBytes.has(topic) || this.#retainedBytes.size < this.#limits.maxRetainedMessages;
    if (bytes > 0 && (!isOne || total > this.#limits.maxRetainedBytes)) {
      this.#dropped.add('retained-full', topic);
      return;
    }
    this.#begins(retainedName(topic));
    const kept = { ...packet, payload: ownCopy(packet.payload) };
    await super.storeRetained(kept);
    this.#countRetained(topic, bytes);
    if (bytes === 0) this.#log.delete('retained', '', topic);
    else this.#log.put('retained', '', topic, () => writtenPacket(kept));
  }

  override async addSubscriptions(
    client: ClientOf,
    subs: Array<{ topic: string; qos: number }>,
  ): Promise<void> {
    await super.addSubscriptions(client, subs);
    for (const { topic, qos } of subs) {
      if (!this.#log.has('subscription', client.id, topic)) this.subscribedTopics.add(topic);
      this.#log.put('subscription', client.id, topic, () => ({ qos }));
    }
    await this.#log.flushIfPossible();
  }

  override async removeSubscriptions(client: ClientOf, topics: string[]): Promise<void> {
    await super.removeSubscriptions(client, topics);
    for (const topic of topics) this.#forgetSubscription(client, topic);
    await this.#log.flushIfPossible();
  }

  /** The session of the client is over. */
  override async cleanSubscriptions(client: ClientOf): Promise<void> {
    this.#begins(client.id);
    for (const { topic } of await super.subscriptionsByClient(client))
      this.#forgetSubscription(client, topic);
    await super.cleanSubscriptions(client);
    this.#outgoing.forget(client.id);
    this.#away.delete(client.id);
    this.#resumed.delete(client.id);
  }

  /**
   * aedes answers "session present" when there is a subscription, but a session may consist of packet ids or
   * queued messages alone [MQTT-3.2.2-2]. So a session without subscriptions has {@link SESSION_PRESENT},
   * which the broker grants nobody.
   */
  override async subscriptionsByClient(client: ClientOf): Promise<Array<{ topic: string; qos: number }>> {
    const subscriptions = await super.subscriptionsByClient(client);
    const isKept = subscriptions.length === 0 && this.#resumed.has(client.id);
    return isKept ? [{ topic: SESSION_PRESENT, qos: 0 }] : subscriptions;
  }

  async outgoingEnqueue(sub: { clientId: string }, packet: AedesPublishPacket): Promise<void> {
    await this.outgoingEnqueueCombi([sub], packet);
  }

  async outgoingEnqueueCombi(subs: Array<{ clientId: string }>, packet: AedesPublishPacket): Promise<void> {
    const clients = subs.map(({ clientId }) => clientId);
    for (const client of this.#outgoing.enqueue(clients, packet)) this.#dropped.add('queue-full', client);
  }

  /**
   * A packet that found no room in the queue of a client that is here is sent all the same, for this once. To
   * refuse it, as the memory persistence does, would end the connection of a client that is catching up,
   * again and again.
   */
  async outgoingUpdate(client: ClientOf, packet: OutgoingPacket): Promise<void> {
    this.#outgoing.update(client.id, packet);
  }

  async outgoingClearMessageId(
    client: ClientOf,
    packet: OutgoingPacket,
  ): Promise<OutgoingPacket | undefined> {
    return this.#outgoing.remove(client.id, packet.messageId);
  }

  outgoingStream(client: ClientOf): Readable {
    return Readable.from(this.#outgoing.packetsFor(client.id));
  }

  /** Its packet id is on the disk already, with its record, where the client's session is kept. */
  override async incomingStorePacket(
    client: ClientOf & { clean?: boolean },
    packet: AedesPublishPacket & { messageId: number },
  ): Promise<void> {
    const { messageId } = packet;
    const digest = contentDigest(packet);
    await super.incomingStorePacket(client, packet);
    this.#incomingDigests.set(client.id, messageId, digest);
    if (client.clean === false && !this.#isLocal(packet.topic))
      this.#log.note('incoming', client.id, String(messageId), () => ({ messageId, digest }));
  }

  /**
   * The content of the QoS 2 publish that waits for PUBREL under the packet id: undefined when there is none,
   * null when its content is not known.
   */
  incomingDigest(client: string, messageId: number): string | null | undefined {
    return this.#incomingDigests.get(client, messageId);
  }

  /** Another publish takes the packet id; on the disk its record has done so already. */
  async forgetIncoming(client: ClientOf, messageId: number): Promise<void> {
    if (this.incomingDigest(client.id, messageId) === undefined) return;
    this.#incomingDigests.delete(client.id, messageId);
    await super.incomingDelPacket(client, { messageId });
  }

  override async incomingDelPacket(client: ClientOf, packet: { messageId: number }): Promise<void> {
    await super.incomingDelPacket(client, packet);
    this.#incomingDigests.delete(client.id, packet.messageId);
    if (!this.#log.has('incoming', client.id, String(packet.messageId))) return;
    this.#log.delete('incoming', client.id, String(packet.messageId));
    await this.#log.flush();
  }

  override async cleanIncoming(client: ClientOf): Promise<void> {
    this.#log.deleteAll('incoming', client.id);
    this.#incomingDigests.deleteAll(client.id);
    await super.cleanIncoming(client);
  }

  override async putWill(client: ClientOf, packet: AedesPublishPacket): Promise<void> {
    await super.putWill(client, packet);
    this.#log.put('will', client.id, '', () => writtenPacket(packet));
  }

  override async delWill(client: ClientOf): Promise<object | undefined> {
    this.#ownerless.delete(client.id);
    this.#log.delete('will', client.id, '');
    return super.delWill(client);
  }

  /** A session, or a retained message, that the disk's is not, while that is not known. */
  #begins(name: string): void {
    if (!this.#isRestored && this.#begun.size < BEGUN_MAX) this.#begun.add(name);
  }

  #isLocal(topic: string): boolean {
    return this.#localTopics.some((filter) => topicMatches(filter, topic));
  }

  #forgetSubscription({ id }: ClientOf, topic: string): void {
    if (this.#log.has('subscription', id, topic)) this.subscribedTopics.remove(topic);
    this.#log.delete('subscription', id, topic);
  }

  #countRetained(topic: string, bytes: number): void {
    this.#retainedTotal += bytes - (this.#retainedBytes.get(topic) ?? 0);
    if (bytes === 0) this.#retainedBytes.delete(topic);
    else this.#retainedBytes.set(topic, bytes);
  }
}

/** No client's id holds U+0000. */
function retainedName(topic: string): string {
  return `\0${topic}`;
}

/**
 * Not a part of the block that the socket was read into, which it would keep for as long as it is retained.
 */
function ownCopy(payload: Buffer | string): Buffer {
  const copy = Buffer.allocUnsafeSlow(Buffer.byteLength(payload));
  if (typeof payload === 'string') copy.write(payload);
  else payload.copy(copy);
  return copy;
}

function willOf(client: string, { topic, payload, qos, retain }: StoredPacket): Will {
  return { client, topic, payload, qos, retain };
}

/** The item that goes with a QoS 2 record into its commit. */
export function incomingItem(client: string, messageId: number, digest: string): SessionItem {
  return { kind: 'incoming', client, key: String(messageId), value: encodeItem({ messageId, digest }) };
}
