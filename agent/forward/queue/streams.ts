/**
 * The streams of the policy with their queues, from the store's state, and streams that left the policy with
 * rows in the buffer.
 */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { Logger } from '../../../shared/log.ts';
import { type Policy, streamSchema } from '../../../shared/policy/policy.ts';
import type { Buffer } from '../buffer.ts';
import { dateOldest, inBootOf } from './oldest.ts';
import type { Settlements } from './settlements.ts';
import { Stream, type StreamProgress } from './stream.ts';

export class Streams {
  readonly #store: Buffer;
  readonly #settlements: Settlements;
  readonly #log: Logger;
  readonly #streams = new Map<string, Stream>();
  #turn = 0;

  constructor(options: { policy: Policy; store: Buffer; settlements: Settlements; log: Logger }) {
    this.#store = options.store;
    this.#settlements = options.settlements;
    this.#log = options.log;
    this.setPolicy(options.policy);
  }

  /**
   * Another policy holds. Streams get its rules, and rows that have their copies under them leave; a stream
   * that it does not name is forgotten where the buffer holds nothing of it.
   */
  setPolicy({ streams }: Policy): void {
    for (const [name, policy] of Object.entries(streams)) {
      const known = this.#streams.get(name);
      if (!known) this.#streams.set(name, new Stream(name, policy));
      else {
        known.policy = policy;
        for (const queue of known.queues) this.#settlements.underNewRules(known, queue);
      }
    }
    for (const [name, stream] of this.#streams)
      if (!Object.hasOwn(streams, name) && stream.queues.length === 0) this.#streams.delete(name);
  }

  all(): Stream[] {
    return [...this.#streams.values()];
  }

  /** All streams, beginning with another one each time, so that scarce room goes round. */
  inTurn(): Stream[] {
    const all = this.all();
    this.#turn = (this.#turn + 1) % Math.max(1, all.length);
    return [...all.slice(this.#turn), ...all.slice(0, this.#turn)];
  }

  /**
   * Returns the stream, or makes one that is not in the policy: routing has no candidates for it, so its rows
   * wait (I4).
   */
  of(name: string): Stream {
    const known = this.#streams.get(name);
    if (known) return known;
    this.#log.warn({ event: 'forward.stream_not_in_policy', stream: name });
    const stream = new Stream(name, streamSchema.parse({ topics: ['#'] }));
    this.#streams.set(name, stream);
    return stream;
  }

  /**
   * Takes over the store's state after opening. An existing queue stays: it knows the envelopes under way.
   */
  takeOver(): void {
    const states = this.#store.initialState();
    for (const { name, queues } of this.#streams.values()) {
      for (const queue of queues) {
        if (!states.some(({ epoch, stream }) => epoch === queue.epoch && stream === name)) queue.vanished();
      }
    }
    for (const state of states) {
      const { queues } = this.of(state.stream);
      const known = queues.find(({ epoch }) => epoch === state.epoch);
      if (known) this.#settlements.release(known, known.reopened(state), 1);
      else queues.push(this.#settlements.queueOf(this.of(state.stream), state));
    }
    this.#dateOldest();
  }

  progress(nowMs: number, present: EnvelopeClock): StreamProgress[] {
    const inThisBoot = inBootOf(present, this.#store.epochs());
    return this.all().map((stream) => stream.progress(nowMs, inThisBoot));
  }

  /** Once a second. */
  measure(): void {
    for (const stream of this.all()) stream.measure();
    this.#dateOldest();
  }

  #dateOldest(): void {
    const queues = this.all().flatMap((stream) => stream.queues);
    for (const queue of queues) void dateOldest(queue, this.#store);
  }
}
