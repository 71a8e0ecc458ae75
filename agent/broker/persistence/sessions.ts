/**
 * The broker's sessions: aedes' memory persistence, with bounded queues, every change logged for the disk,
 * and the state from before a restart. An answer that promises a change waits for its write: SUBACK and
 * UNSUBACK while the disk works, PUBCOMP always, because a packet id that is still stored after a crash would
 * make a new message look like a repeated one.
 */
import { Readable } from 'node:stream';
import type { AedesPublishPacket } from 'aedes';
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { topicMatches } from '../../../shared/policy/topic-filter.ts';
import { SubscribedTopics } from '../aedes/subscribed-topics.ts';
import { contentDigest } from './content-digest.ts';
import { deviceOf, publisherOf } from './device-of.ts';
import { Dropped, type DropReason } from './dropped.ts';
import type { OutgoingPacket } from './held-message.ts';
import { IncomingDigests } from './incoming-digests.ts';
import { MemoryPersistence } from './memory-persistence.ts';
import { OutgoingQueues, type QueueLimits } from './outgoing.ts';
import { ownCopy, readPacket, type StoredPacket, writtenPacket } from './packet.ts';
import { RetainedBounds, type RetainedLimits } from './retained-bounds.ts';
import { SessionLog, type SessionStore } from './session-log.ts';
import { clientsByQos, type Subscriber } from './subscribers.ts';
import { type Will, willOf } from './will.ts';

export interface SessionLimits extends QueueLimits, RetainedLimits {
  maxSessions: number;
  maxSessionsPerDevice: number;
  /** Since the client was last connected, by monotonic time since the start. */
  expireAfterMs: number;
}

/**
 * Bound on the sessions and retained messages that are known to have begun before the store opened (I10).
 * Beyond it, the stored state is restored as it was.
 */
const BEGUN_MAX = 10_000;

/** The filter that marks a session without subscriptions. The broker refuses filters that begin with `$`. */
export const SESSION_PRESENT = '$headgate/session';

interface ClientOf {
  id: string;
}

export interface SessionsOptions {
  /** Filters of topics that are never recorded: their QoS 2 state needs no disk. */
  localTopics?: readonly string[];
  store: SessionStore;
  clock: Clock;
  limits: SessionLimits;
  log: Logger;
}

export class Sessions extends MemoryPersistence {
  /** Subscriptions of persistent sessions, and, added by the broker, of connected clients. */
  readonly subscribedTopics = new SubscribedTopics();
  readonly #store: SessionStore;
  readonly #log: SessionLog;
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #localTopics: readonly string[];
  readonly #dropped: Dropped;
  readonly #outgoing: OutgoingQueues;
  readonly #retained: RetainedBounds;
  /** Clients with a session: the time their connection ended, or null while they are connected. */
  readonly #away = new Map<string, number | null>();
  /** Whose each session is: see {@link claim}. */
  readonly #owners = new Map<string, string>();
  /** Clients whose session is older than their present connection. */
  readonly #resumed = new Set<string>();
  readonly #incomingDigests = new IncomingDigests();
  readonly #repeated = new WeakSet<object>();
  readonly #ownerless = new Map<string, Will>();
  /** Before {@link restore}: client ids, and {@link retainedName}s. */
  readonly #begun = new Set<string>();
  readonly #restoreListeners: Array<() => void> = [];
  #isRestored: boolean = false;

  constructor({ store, clock, limits, log, localTopics = [] }: SessionsOptions) {
    super();
    this.#store = store;
    this.#localTopics = localTopics;
    this.#clock = clock;
    this.#limits = limits;
    this.#retained = new RetainedBounds(limits);
    this.#dropped = new Dropped(clock, log);
    this.#outgoing = new OutgoingQueues(limits, (change) => {
      if (change.kind === 'delete') this.#log.outgoingDelete(change.client, change.order);
      else this.#log.outgoingPut(change.client, change.order, change.isNew);
    });
    this.#log = new SessionLog(store, clock, this.#outgoing);
    store.onReopen(() => void this.restore());
  }

  /**
   * Restores the stored state when the store opens, at the start or after the disk has recovered. Sessions
   * that began meanwhile stay, and their stored state is deleted: the client was told that there is no
   * session [MQTT-3.2.2-3].
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
        // The checksum of the file was valid, so this item is lost alone: a session that lacks an item is
        // better than an agent that does not start (I9).
        this.#dropped.add('unreadable', `${kind} ${client} ${key}`);
        continue;
      }
      if (kind !== 'outgoing') this.#log.restore(kind, client, key, () => writtenPacket(found));
      // A will alone is no session: the client may have connected with clean session.
      if (client !== '' && kind !== 'will' && kind !== 'owner') this.#away.set(client, this.#clock.monoMs());
      switch (kind) {
        case 'subscription':
          this.subscribedTopics.add(key);
          await super.addSubscriptions({ id: client }, [{ topic: key, qos: found.qos }]);
          break;
        case 'retained':
          await super.storeRetained(found);
          this.#retained.set(key, found.topic.length + found.payload.length, publisherOf(found));
          break;
        case 'owner':
          this.#owners.set(client, found.owner ?? '');
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
    for (const client of this.#owners.keys())
      if (!this.#away.has(client) && !this.#ownerless.has(client)) this.#disown(client);
    this.#isRestored = true;
    this.#begun.clear();
    for (const listener of this.#restoreListeners) listener();
  }

  /** `listener` is called when the stored state has been restored. */
  onRestored(listener: () => void): void {
    this.#restoreListeners.push(listener);
  }

  /** Whether the client has a session, or may have one. `device`: null for anonymous clients. */
  hasRoomFor(client: string, device: string | null): boolean {
    if (this.#away.has(client)) return true;
    if (this.#away.size >= this.#limits.maxSessions) return false;
    if (device === null) return true;
    let ofDevice = 0;
    for (const other of this.#away.keys()) if (deviceOf(other) === device) ofDevice += 1;
    return ofDevice < this.#limits.maxSessionsPerDevice;
  }

  /**
   * Call before the client's connection is accepted. Another owner's session under the client id ends, with
   * its queue, packet ids and will. `isKept`: the session outlives the connection.
   */
  async claim(client: string, owner: string, isKept: boolean): Promise<void> {
    const before = this.#owners.get(client);
    if (before !== undefined && before !== owner) {
      await this.cleanSubscriptions({ id: client });
      await this.cleanIncoming({ id: client });
      await this.delWill({ id: client });
      this.#dropped.add('owner-changed', client);
    }
    if (!isKept || before === owner) return;
    this.#owners.set(client, owner);
    this.#log.put('owner', client, '', () => ({ owner }));
  }

  connected(client: string): void {
    this.#begins(client);
    if (this.#away.has(client)) this.#resumed.add(client);
    this.#away.set(client, null);
  }

  /** Wills of clients that were connected when the agent ended abruptly, and have not reconnected. */
  ownerlessWills(): Will[] {
    return [...this.#ownerless.values()];
  }

  disconnected(client: string): void {
    if (this.#away.has(client)) this.#away.set(client, this.#clock.monoMs());
  }

  /** Ends the sessions of clients that were away for longer than the expiry. */
  async expire(): Promise<void> {
    const before = this.#clock.monoMs() - this.#limits.expireAfterMs;
    for (const [client, awayMs] of this.#away) {
      if (awayMs === null || awayMs > before) continue;
      await this.cleanSubscriptions({ id: client });
      await this.cleanIncoming({ id: client });
      this.#dropped.add('session-expired', client);
    }
  }

  /** Resolves when all changes so far are on disk, or the disk has failed. */
  flush(): Promise<void> {
    return this.#log.flushIfPossible();
  }

  counts(): { sessions: number; retained: number; queuedMessages: number; queuedBytes: number } {
    return {
      sessions: this.#away.size,
      retained: this.#retained.size,
      queuedMessages: this.#outgoing.messages,
      queuedBytes: this.#outgoing.bytes,
    };
  }

  /** Dropped items since start, by reason. */
  dropped(): ReadonlyMap<DropReason, number> {
    return this.#dropped.counts;
  }

  override async storeRetained(packet: AedesPublishPacket): Promise<void> {
    const { topic } = packet;
    const bytes = packet.payload.length === 0 ? 0 : topic.length + packet.payload.length;
    const device = publisherOf(packet);
    if (bytes > 0 && !this.#retained.hasRoomFor(topic, bytes, device)) {
      this.#dropped.add('retained-full', topic);
      return;
    }
    this.#begins(retainedName(topic));
    const kept = { ...packet, payload: ownCopy(packet.payload) };
    await super.storeRetained(kept);
    this.#retained.set(topic, bytes, device);
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

  /** Ends the session of the client. */
  override async cleanSubscriptions(client: ClientOf): Promise<void> {
    this.#begins(client.id);
    for (const { topic } of await super.subscriptionsByClient(client))
      this.#forgetSubscription(client, topic);
    await super.cleanSubscriptions(client);
    this.#outgoing.forget(client.id);
    this.#disown(client.id);
    this.#away.delete(client.id);
    this.#resumed.delete(client.id);
  }

  /**
   * aedes answers "session present" when there is a subscription, but a session may consist of packet ids or
   * queued messages alone [MQTT-3.2.2-2]. So a session without subscriptions gets {@link SESSION_PRESENT},
   * which the broker grants to no client.
   */
  override async subscriptionsByClient(client: ClientOf): Promise<Array<{ topic: string; qos: number }>> {
    const subscriptions = await super.subscriptionsByClient(client);
    const isKept = subscriptions.length === 0 && this.#resumed.has(client.id);
    return isKept ? [{ topic: SESSION_PRESENT, qos: 0 }] : subscriptions;
  }

  async outgoingEnqueue(sub: Subscriber, packet: AedesPublishPacket): Promise<void> {
    await this.outgoingEnqueueCombi([sub], packet);
  }

  /** Once for each client, with the highest QoS granted to one of its filters [MQTT-3.3.5-1]. */
  async outgoingEnqueueCombi(subs: Subscriber[], packet: AedesPublishPacket): Promise<void> {
    for (const [qos, clients] of clientsByQos(subs, packet.qos)) {
      for (const client of this.#outgoing.enqueue(clients, qos === packet.qos ? packet : { ...packet, qos }))
        this.#dropped.add('queue-full', client);
    }
  }

  /**
   * A packet without room in the queue of a connected client is sent anyway, once. Refusing it, as the memory
   * persistence does, would end the connection of a client that is catching up, repeatedly.
   */
  async outgoingUpdate(client: ClientOf, packet: OutgoingPacket): Promise<void> {
    if (this.#outgoing.update(client.id, packet) === 'repeated') this.#repeated.add(packet);
  }

  /** Whether a packet that is about to be sent was sent before [MQTT-3.3.1-1]. */
  isRepeated = (packet: object): boolean => this.#repeated.has(packet);

  async outgoingClearMessageId(
    client: ClientOf,
    packet: OutgoingPacket,
  ): Promise<OutgoingPacket | undefined> {
    return this.#outgoing.remove(client.id, packet.messageId);
  }

  outgoingStream(client: ClientOf): Readable {
    return Readable.from(this.#outgoing.packetsFor(client.id));
  }

  /** For a persistent session, the commit of the record has written the packet id already. */
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
   * Digest of the QoS 2 publish that waits for PUBREL under the packet id: undefined when there is none, null
   * when its content is unknown.
   */
  incomingDigest(client: string, messageId: number): string | null | undefined {
    return this.#incomingDigests.get(client, messageId);
  }

  /** Another publish takes the packet id; the commit of its record has updated the disk already. */
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

  /** Remembers a session or retained message that began before the stored state was known. */
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

  #disown(client: string): void {
    this.#owners.delete(client);
    this.#log.delete('owner', client, '');
  }
}

/** No client id holds U+0000. */
function retainedName(topic: string): string {
  return `\0${topic}`;
}
