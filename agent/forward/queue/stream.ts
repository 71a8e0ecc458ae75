/**
 * One stream of the policy as the forwarder works on it: its queues by epoch, its pace, and how well it goes.
 */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { StreamPolicy } from '../../../shared/policy/policy.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { Packer } from '../packer.ts';
import { DrainRate } from './drain-rate.ts';
import { type Lane, LaneShare } from './lanes.ts';
import { type Run, StreamQueue } from './stream-queue.ts';

/** Pauses after an envelope came back that no provider took. */
const RETURNED_PAUSES = { firstMs: 100, lastMs: 2000 };

/** What a stream owes and how fast it goes. */
export interface StreamProgress {
  name: string;
  /** Records that still need a provider. */
  pending: number;
  inFlight: number;
  /** Records with their copies, in the buffer until the router's receipt covers them. */
  awaitingReceipt: number;
  /** Age of the oldest commit not yet sent; null when none waits. */
  oldestAgeMs: number | null;
  /** Records delivered with all their copies since start. */
  accepted: number;
  /** Of these, in the last second. */
  ratePerSecond: number;
  /** Of the pending: those that waited out something, an outage or a restart. */
  backlog: number;
  /** At the pace of the last seconds; null when there is no backlog or nothing of it leaves. */
  timeToDrainMs: number | null;
}

/** A record that a provider failed to take, until it is accepted somewhere: the measure of a failover. */
interface Stuck {
  provider: string;
  seq: number;
  sinceMs: number;
}

export interface Recovery {
  seq: number;
  from: string;
  stuckMs: number;
}

export class Stream {
  readonly name: string;
  readonly policy: StreamPolicy;
  readonly packer = new Packer();
  readonly lanes: LaneShare;
  /** Oldest epoch first. */
  queues: StreamQueue[] = [];
  /** An envelope is being read and packed. */
  building: boolean = false;
  /** Number of the next envelope: whose turn it is where several providers share the stream. */
  turn: number = 0;
  readonly #stuck = new Map<StreamQueue, Stuck>();
  #notBeforeMs = 0;
  /** Envelopes that came back in a row. */
  #returned = 0;
  #accepted = 0;
  #acceptedBefore = 0;
  #ratePerSecond = 0;
  #drained = 0;
  readonly #drain = new DrainRate();

  constructor(name: string, policy: StreamPolicy) {
    this.name = name;
    this.policy = policy;
    this.lanes = new LaneShare(policy.backlog_share);
  }

  /** The queue that new records join. */
  current(epoch: string): StreamQueue {
    const last = this.queues.at(-1);
    if (last?.epoch === epoch) return last;
    const empty = { pending: IntervalSet.empty(), accepted: new Map(), gaps: [], sealedAt: null };
    const queue = new StreamQueue({ epoch, stream: this.name, ...empty });
    this.queues.push(queue);
    return queue;
  }

  ready(nowMs: number): boolean {
    return !this.building && nowMs >= this.#notBeforeMs;
  }

  /**
   * Whether a run is worth an envelope now. Full is what fills the target once it is compressed: an envelope
   * that left with the target's worth of payload would be mostly empty, and billed as if it were not.
   */
  due(queue: StreamQueue, run: Run, nowMs: number): boolean {
    const { linger, envelope_bytes: targetBytes } = this.policy;
    return queue.due(run, nowMs, linger, this.packer.rawBytesFor(targetBytes));
  }

  /** An envelope found a taker. */
  progressed(): void {
    this.#returned = 0;
  }

  /** An envelope came back: what is owed waits a moment. */
  pause(nowMs: number): void {
    this.#returned += 1;
    this.#notBeforeMs = nowMs + pauseCeilingMs(RETURNED_PAUSES, this.#returned);
  }

  delivered(records: number, lane: Lane): void {
    this.#accepted += records;
    if (lane === 'backlog') this.#drained += records;
  }

  /** Queues of epochs that are over and owe nothing are forgotten. */
  forgetFinished(currentEpoch: string): void {
    this.queues = this.queues.filter((queue) => !queue.idle || queue.epoch === currentEpoch);
  }

  /** A provider did not take the envelope that begins at `seq`. Only the oldest such record is remembered. */
  failed(queue: StreamQueue, seq: number, provider: string, nowMs: number): void {
    const known = this.#stuck.get(queue);
    if (known && known.seq <= seq) return;
    this.#stuck.set(queue, { provider, seq, sinceMs: known?.sinceMs ?? nowMs });
  }

  /** Whether the oldest record that a provider failed to take is in `range`. */
  isStuck(queue: StreamQueue, { first, last }: SeqRange): boolean {
    const seq = this.#stuck.get(queue)?.seq ?? 0;
    return first <= seq && seq <= last;
  }

  /** A provider took `range`: says so when the oldest stuck record was in it. */
  recovered(queue: StreamQueue, range: SeqRange, nowMs: number): Recovery | null {
    const stuck = this.#stuck.get(queue);
    if (!stuck || !this.isStuck(queue, range)) return null;
    this.#stuck.delete(queue);
    return { seq: stuck.seq, from: stuck.provider, stuckMs: Math.round(nowMs - stuck.sinceMs) };
  }

  /** Once a second. */
  measure(): void {
    this.#ratePerSecond = this.#accepted - this.#acceptedBefore;
    this.#acceptedBefore = this.#accepted;
    this.#drain.second(this.#drained);
    this.#drained = 0;
  }

  progress(nowMs: number): StreamProgress {
    const backlog = this.queues.reduce((sum, queue) => sum + queue.backlog, 0);
    const waiting = this.queues.map((queue) => queue.oldestWaitingMs()).filter((ms) => ms !== null);
    return {
      name: this.name,
      pending: this.queues.reduce((sum, queue) => sum + queue.owed, 0),
      inFlight: this.queues.reduce((sum, queue) => sum + queue.reserved, 0),
      awaitingReceipt: this.queues.reduce((sum, queue) => sum + queue.kept, 0),
      oldestAgeMs: waiting.length > 0 ? Math.round(nowMs - Math.min(...waiting)) : null,
      accepted: this.#accepted,
      ratePerSecond: this.#ratePerSecond,
      backlog,
      timeToDrainMs: this.#drain.timeFor(backlog),
    };
  }
}
