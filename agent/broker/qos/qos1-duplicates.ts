/**
 * QoS 1 says at least once; this makes it once where the protocol lets us tell (MQTT 3.1.1 sections 3.3.1.1
 * and 4.4). A PUBLISH with DUP repeats an earlier one with that packet id. It is no second record when the
 * earlier one, with the same topic and payload, is being committed now, perhaps from the connection before,
 * or was committed after its connection had gone, so that no PUBACK was ever written.
 *
 * Where a PUBACK was written nobody knows whether it arrived. If it did, the id was free again, and a PUBLISH
 * with DUP may repeat a new, equal reading whose first try was lost: it is recorded, because two records are
 * better than none.
 */
import type { Client, PublishPacket } from 'aedes';
import { contentDigest } from '../persistence/content-digest.ts';

/** Publishes remembered whose PUBACK was never written (I10). */
const UNANSWERED_MAX = 10_000;

/**
 * A QoS 1 publish on its way to the disk. It is a link in the list of its client's, and all that the broker
 * needs when it is settled: there are thousands of these in a second, each lives through a commit, and
 * garbage that old is dear.
 */
export class PublishUnderWay {
  readonly client: Client;
  readonly packet: PublishPacket;
  readonly messageId: number;
  /** aedes goes on: it acknowledges, or ends the connection. */
  readonly done: (error?: Error | null) => void;
  /** Of the same client. */
  older: PublishUnderWay | null = null;
  newer: PublishUnderWay | null = null;
  /** Qos1Duplicates that wait for it. */
  repetitions: PublishUnderWay[] | null = null;

  constructor(
    client: Client,
    packet: PublishPacket,
    messageId: number,
    done: (error?: Error | null) => void,
  ) {
    this.client = client;
    this.packet = packet;
    this.messageId = messageId;
    this.done = done;
  }
}

/** Told once for each publish that was taken. */
type Settled = (publish: PublishUnderWay, error: Error | null) => void;

export class Qos1Duplicates {
  readonly #settled: Settled;
  /** By client, the newest of what is being committed. */
  readonly #newest = new Map<string, PublishUnderWay>();
  /** Digests by client and packet id, oldest first. */
  readonly #unanswered = new Map<string, string>();

  constructor(settled: Settled) {
    this.#settled = settled;
  }

  /**
   * False when the publish has to be stored, and {@link settle} to be called after. True when it repeats an
   * earlier one: it is settled with that.
   */
  joinOrRegister(publish: PublishUnderWay): boolean {
    if (publish.packet.dup && this.#joins(publish)) return true;
    const { id } = publish.client;
    const older = this.#newest.get(id);
    if (older) {
      older.newer = publish;
      publish.older = older;
    }
    this.#newest.set(id, publish);
    return false;
  }

  /** The publish is durable, or failed: so are its repetitions. */
  settle(publish: PublishUnderWay, error: Error | null): void {
    this.#unlink(publish);
    if (!error && publish.client.conn.destroyed) this.#remember(publish);
    this.#settled(publish, error);
    for (const repetition of publish.repetitions ?? []) this.#settled(repetition, error);
  }

  #joins(publish: PublishUnderWay): boolean {
    let earlier = this.#newest.get(publish.client.id) ?? null;
    // Of two with that packet id, the newer one is meant.
    while (earlier && earlier.messageId !== publish.messageId) earlier = earlier.older;
    if (earlier && isSame(earlier.packet, publish.packet)) {
      earlier.repetitions ??= [];
      earlier.repetitions.push(publish);
      return true;
    }
    const name = nameOf(publish);
    if (this.#unanswered.get(name) !== contentDigest(publish.packet)) return false;
    this.#unanswered.delete(name);
    this.#settled(publish, null);
    return true;
  }

  #unlink(publish: PublishUnderWay): void {
    const { older, newer, client } = publish;
    // Links of what is over are cut: a long row of them would keep each other from being collected.
    publish.older = null;
    publish.newer = null;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else if (older) this.#newest.set(client.id, older);
    else this.#newest.delete(client.id);
  }

  #remember(publish: PublishUnderWay): void {
    const name = nameOf(publish);
    this.#unanswered.delete(name);
    this.#unanswered.set(name, contentDigest(publish.packet));
    if (this.#unanswered.size <= UNANSWERED_MAX) return;
    const [oldest] = this.#unanswered.keys();
    if (oldest !== undefined) this.#unanswered.delete(oldest);
  }
}

function nameOf({ client, messageId }: PublishUnderWay): string {
  return `${messageId} ${client.id}`;
}

function isSame(a: PublishPacket, b: PublishPacket): boolean {
  return a.topic === b.topic && Buffer.compare(Buffer.from(a.payload), Buffer.from(b.payload)) === 0;
}
