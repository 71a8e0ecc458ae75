/**
 * The clouds, as far as a router can tell: messages that are handed out, come back when the replica that had
 * them dies or leaves them, and are gone once settled.
 */
import type { FedEnvelope } from './feed.ts';

export interface Message {
  id: number;
  envelope: FedEnvelope;
  deliveryCount: number;
}

export class Queue {
  readonly #visible: Message[];
  readonly #inFlight = new Map<number, Message>();
  settled = 0;
  redelivered = 0;
  readonly total: number;

  constructor(envelopes: readonly FedEnvelope[]) {
    this.total = envelopes.length;
    // Taken from the end.
    this.#visible = envelopes.map((envelope, id) => ({ id, envelope, deliveryCount: 0 })).reverse();
  }

  get isDone(): boolean {
    return this.settled === this.total;
  }

  take(): Message | null {
    const message = this.#visible.pop();
    if (!message) return null;
    message.deliveryCount += 1;
    this.#inFlight.set(message.id, message);
    return message;
  }

  settle(id: number): void {
    if (this.#inFlight.delete(id)) this.settled += 1;
  }

  /** Behind all others, as after a visibility timeout. */
  putBack(id: number): void {
    const message = this.#inFlight.get(id);
    if (!message) return;
    this.#inFlight.delete(id);
    this.#visible.unshift(message);
    this.redelivered += 1;
  }
}
