/**
 * QoS 1 means at least once; this class removes the repetitions that the protocol lets us detect (MQTT 3.1.1
 * sections 3.3.1.1 and 4.4). A PUBLISH with DUP repeats an earlier one with the same packet id. It makes no
 * second record when the earlier publish, with the same topic and payload, is being committed now, perhaps
 * from the previous connection, or was committed after its connection had ended, so that no PUBACK was ever
 * written.
 *
 * After a written PUBACK it is unknown whether the PUBACK arrived. If it did, the packet id was free again,
 * and a PUBLISH with DUP may repeat a new, equal reading whose first try was lost. It is recorded, because
 * two records are better than none.
 */
import type { Client, PublishPacket } from 'aedes';
import { contentDigest } from '../persistence/content-digest.ts';

/** Bound on remembered publishes whose PUBACK was never written (I10). */
const UNANSWERED_MAX = 10_000;

/**
 * A QoS 1 publish whose commit is under way: a link in its client's list, with everything that settling
 * needs. One flat object, because thousands are made in a second, each lives through a commit, and long-lived
 * objects are expensive to collect.
 */
export class PublishUnderWay {
  readonly client: Client;
  readonly packet: PublishPacket;
  readonly messageId: number;
  /** Lets aedes continue: it acknowledges, or ends the connection. */
  readonly done: (error?: Error | null) => void;
  /** The previous publish of the same client. */
  older: PublishUnderWay | null = null;
  newer: PublishUnderWay | null = null;
  /** Later publishes that repeat this one and wait for its commit. */
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

/** Called once for each publish that was registered or joined. */
type Settled = (publish: PublishUnderWay, error: Error | null) => void;

export class Qos1Duplicates {
  readonly #settled: Settled;
  /** By client: the newest publish whose commit is under way. */
  readonly #newest = new Map<string, PublishUnderWay>();
  /** Digests by client and packet id, oldest first. */
  readonly #unanswered = new Map<string, string>();

  constructor(settled: Settled) {
    this.#settled = settled;
  }

  /**
   * False: the publish is registered; store it and then call {@link settle}. True: it repeats an earlier
   * publish and is settled with it.
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

  /** The publish is durable or has failed, and with it its repetitions. */
  settle(publish: PublishUnderWay, error: Error | null): void {
    this.#unlink(publish);
    if (!error && publish.client.conn.destroyed) this.#remember(publish);
    this.#settled(publish, error);
    for (const repetition of publish.repetitions ?? []) this.#settled(repetition, error);
  }

  #joins(publish: PublishUnderWay): boolean {
    let earlier = this.#newest.get(publish.client.id) ?? null;
    // The newest publish with the packet id counts.
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
    // Settled publishes are unlinked: a long chain of links would keep all of them alive.
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
