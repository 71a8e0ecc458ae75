/**
 * PUBACKs of publishes without a local subscriber. aedes writes them one after the other, and turns the event
 * loop once for each. Here a client's PUBACKs of one commit leave in one write, which saves a tenth of a
 * publish's time. aedes then continues as after a QoS 0 publish without subscribers: it reads on.
 *
 * PUBACKs keep the order of the publishes [MQTT-4.6.0-2]: code that answers a client in another way must call
 * `flush` first.
 */
import type { Client } from 'aedes';
import type { PublishUnderWay } from './qos1-duplicates.ts';

/** MQTT 3.1.1 section 3.4: packet type 4, two bytes of packet id. */
const PUBACK = [0x40, 0x02];
const PUBACK_BYTES = 4;

export class PubackBatcher {
  readonly #waiting = new Map<Client, PublishUnderWay[]>();
  #isScheduled: boolean = false;

  /** The publish is durable (I1). Its PUBACK is written before the event loop turns. */
  acknowledge(publish: PublishUnderWay): void {
    const before = this.#waiting.get(publish.client);
    if (before) before.push(publish);
    else this.#waiting.set(publish.client, [publish]);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      for (const client of [...this.#waiting.keys()]) this.flush(client);
    });
  }

  /** Writes the pending PUBACKs of the client now. */
  flush(client: Client): void {
    const publishes = this.#waiting.get(client);
    if (!publishes) return;
    this.#waiting.delete(client);
    const { conn } = client;
    if (conn.destroyed) return;
    const hasRoom = conn.write(pubacks(publishes));
    // A client that does not read its acknowledgements is not read from.
    if (hasRoom) goOn(publishes);
    else conn.once('drain', () => goOn(publishes));
  }
}

function pubacks(publishes: readonly PublishUnderWay[]): Buffer {
  const bytes = Buffer.allocUnsafe(publishes.length * PUBACK_BYTES);
  let at = 0;
  for (const { messageId } of publishes) {
    for (const byte of PUBACK) bytes[at++] = byte;
    at = bytes.writeUInt16BE(messageId, at);
  }
  return bytes;
}

function goOn(publishes: readonly PublishUnderWay[]): void {
  for (const { packet, done } of publishes) {
    packet.qos = 0;
    done(null);
  }
}
