/**
 * One partition's reading position, kept over any number of connections. Events are delivered in order, a
 * bounded number at a time. The checkpoint moves only to an event before which everything is settled (I5). An
 * event that waits for a retry therefore holds the checkpoint, and soon the partition; events already
 * delivered may finish.
 */
import { Backoff } from '../../../shared/backoff.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import type { Logger } from '../../../shared/log.ts';
import type { Delivery, DeliveryHandler, IntakeGate } from '../source.ts';
import type { Position } from './position.ts';

/** Most events delivered and not settled, counted from the oldest (I10). */
const WINDOW = 32;
const RETRY = { firstMs: 100, lastMs: 5000 };

export interface IncomingEvent {
  sequenceNumber: number;
  offset: string;
  delivery: Delivery;
}

export interface PartitionOptions {
  /** For the log: hub, consumer group and partition. */
  key: string;
  /** The last settled event; null to begin with the oldest event that the hub holds. */
  from: Position | null;
  handler: DeliveryHandler;
  onReceived: () => void;
  /** The hub dropped `count` events by age before they were read. */
  onExpired: (count: number) => void;
  onSettled: () => void;
  /** Every event up to `position` is settled. Not called after `drop`. */
  onAdvanced: (position: Position) => void;
  gate: IntakeGate;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

interface InHand {
  position: Position;
  settled: boolean;
}

export class PartitionReader {
  readonly #options: PartitionOptions;
  readonly #stopped = new AbortController();
  readonly #inHand: InHand[] = [];
  /** Events in the handler; an event that waits for its next try does not count. */
  #busy = 0;
  /** Wakes the callers that wait for the window to move. */
  #moved = Promise.withResolvers<void>();
  #createdMs = 0;
  #received: Position | null;
  #settled: Position | null;
  #dropped: boolean = false;

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.#received = options.from;
    this.#settled = options.from;
  }

  /** The position to resume from, in the hub that was created at `createdMs`. */
  resume(createdMs: number): Position | null {
    this.#createdMs = createdMs;
    if (this.#received && this.#received.createdMs !== createdMs) {
      this.#options.log.warn({ event: 'event_hubs.hub_replaced', partition: this.#options.key });
      this.#received = null;
      this.#settled = null;
    }
    return this.#received;
  }

  /** Sequence number of the last event taken; -1 before the first. */
  get receivedSequenceNumber(): number {
    return this.#received?.sequenceNumber ?? -1;
  }

  /** Sequence number up to which everything is settled; -1 before the first. */
  get settledSequenceNumber(): number {
    return this.#settled?.sequenceNumber ?? -1;
  }

  /** Another router owns the partition now. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /** True while the window is full of unsettled events. */
  get full(): boolean {
    return this.#inHand.length >= WINDOW;
  }

  /**
   * Delivers events in order, as the window has room. Stops early when `signal` aborts; the rest is read
   * again.
   */
  async take(events: readonly IncomingEvent[], signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    for (const event of events) {
      while (this.full && !signal.aborted && !this.#stopped.signal.aborted) await this.#moved.promise;
      if (signal.aborted || this.#stopped.signal.aborted) break;
      // A receiver that the SDK restarted by itself may begin at an earlier event.
      if (event.sequenceNumber > this.receivedSequenceNumber) this.#handOver(event);
    }
    signal.removeEventListener('abort', wake);
  }

  /**
   * For a partition that another router owns now: takes and retries nothing more, and reports nothing about
   * the events still in hand.
   */
  drop(): void {
    this.#dropped = true;
    this.#stopped.abort();
    this.#wake();
  }

  /** Takes and retries nothing more; waits up to `timeoutMs` for the handler. */
  async stop(timeoutMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#stopped.abort();
    this.#wake();
    let waiting = true;
    const timeout = clock.setTimer(timeoutMs, () => {
      waiting = false;
      this.#wake();
    });
    while (waiting && this.#busy > 0) await this.#moved.promise;
    timeout.cancel();
  }

  #handOver({ sequenceNumber, offset, delivery }: IncomingEvent): void {
    this.#countExpired(sequenceNumber);
    const item = { position: { createdMs: this.#createdMs, sequenceNumber, offset }, settled: false };
    this.#received = item.position;
    this.#inHand.push(item);
    this.#options.onReceived();
    void this.#settle(item, delivery);
  }

  /** Sequence numbers of a partition are dense: the numbers missing between two events are expired events. */
  #countExpired(sequenceNumber: number): void {
    if (this.#received === null) return;
    const count = sequenceNumber - this.#received.sequenceNumber - 1;
    if (count <= 0) return;
    const { key: partition, log, onExpired } = this.#options;
    const first = this.#received.sequenceNumber + 1;
    log.error({ event: 'event_hubs.expired', partition, count, first, last: sequenceNumber - 1 });
    onExpired(count);
  }

  async #settle(item: InHand, delivery: Delivery): Promise<void> {
    const { handler, clock, entropy, gate } = this.#options;
    const backoff = new Backoff(RETRY, entropy);
    for (;;) {
      this.#busy += 1;
      item.settled = (await handler(delivery)) === 'settle';
      this.#busy -= 1;
      if (item.settled) this.#advance();
      this.#wake();
      if (item.settled) return;
      await clock.sleep(backoff.failed(), this.#stopped.signal);
      await gate.opened(this.#stopped.signal);
      if (this.#stopped.signal.aborted) return;
    }
  }

  /** I5: the checkpoint passes an event only when it and all before it are settled. */
  #advance(): void {
    this.#options.onSettled();
    while (this.#inHand[0]?.settled) this.#settled = this.#inHand.shift()?.position ?? this.#settled;
    if (this.#settled && !this.#dropped) this.#options.onAdvanced(this.#settled);
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}
