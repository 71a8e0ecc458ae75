/** The forwarder's state of one stream of the policy: its queues by epoch, its pace and its progress. */
import { pauseCeilingMs } from '../../../shared/backoff.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { StreamPolicy } from '../../../shared/policy/policy.ts';
import type { SeqRange } from '../../../shared/record.ts';
import { Packer } from '../packer.ts';
import { DrainRate } from './drain-rate.ts';
import { type Lane, LaneShare } from './lanes.ts';
import { type Run, StreamQueue } from './stream-queue.ts';

/** Pauses after an envelope that no provider took. */
const RETURNED_PAUSES = { firstMs: 100, lastMs: 2000 };

/** Pending records and delivery rate of a stream. */
export interface StreamProgress {
  name: string;
  /** Records that still need a provider. */
  pending: number;
  inFlight: number;
  /** Records with all their copies that wait in the buffer for the router's receipt. */
  awaitingReceipt: number;
  /**
   * Age of the oldest record that still needs a provider, also while it is under way, and over restarts; null
   * when none does.
   */
  oldestAgeMs: number | null;
  /** Records delivered with all their copies since start. */
  accepted: number;
  /** Records left with fewer copies than the stream asks for, because the other providers refuse them. */
  fewerCopies: number;
  /** Records delivered in the last second. */
  ratePerSecond: number;
  /** Pending records that waited out an outage or a restart. */
  backlog: number;
  /** At the rate of the last seconds; null without a backlog or without deliveries. */
  timeToDrainMs: number | null;
}

/** The oldest record that a provider failed to take, until another accepts it: the measure of a failover. */
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
  #policy: StreamPolicy;
  readonly packer = new Packer();
  readonly lanes: LaneShare;
  /** Oldest epoch first. */
  queues: StreamQueue[] = [];
  /** Whether an envelope is being read and packed. */
  building: boolean = false;
  fewerCopies: number = 0;
  /** Number of the next envelope: decides the turn where several providers share the stream. */
  turn: number = 0;
  readonly #stuck = new Map<StreamQueue, Stuck>();
  #notBeforeMs = 0;
  /** Envelopes in a row that no provider took. */
  #returned = 0;
  #accepted = 0;
  #acceptedBefore = 0;
  #ratePerSecond = 0;
  #drained = 0;
  readonly #drain = new DrainRate();

  constructor(name: string, policy: StreamPolicy) {
    this.name = name;
    this.#policy = policy;
    this.lanes = new LaneShare(policy.backlog_share);
  }

  /** Its rules; another policy changes them while it runs. */
  get policy(): StreamPolicy {
    return this.#policy;
  }

  set policy(policy: StreamPolicy) {
    this.#policy = policy;
    this.lanes.backlogShare = policy.backlog_share;
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
   * Whether a run is worth an envelope now. A full envelope is one that fills the target after compression:
   * with only the target's worth of payload it would be mostly empty, and billed as full.
   */
  due(queue: StreamQueue, run: Run, nowMs: number): boolean {
    const { linger, envelope_bytes: targetBytes } = this.policy;
    return queue.due(run, nowMs, linger, this.packer.rawBytesFor(targetBytes));
  }

  /** A provider took an envelope. */
  progressed(): void {
    this.#returned = 0;
  }

  /** No provider took an envelope: the owed rows wait a moment. */
  pause(nowMs: number): void {
    this.#returned += 1;
    this.#notBeforeMs = nowMs + pauseCeilingMs(RETURNED_PAUSES, this.#returned);
  }

  delivered(records: number, lane: Lane): void {
    this.#accepted += records;
    if (lane === 'backlog') this.#drained += records;
  }

  /** Removes queues of past epochs that owe nothing. */
  forgetFinished(currentEpoch: string): void {
    this.queues = this.queues.filter((queue) => !queue.idle || queue.epoch === currentEpoch);
  }

  /** A provider did not take the envelope that begins at `seq`. Only the oldest such record is remembered. */
  failed(queue: StreamQueue, seq: number, provider: string, nowMs: number): void {
    const known = this.#stuck.get(queue);
    if (known && known.seq <= seq) return;
    this.#stuck.set(queue, { provider, seq, sinceMs: known?.sinceMs ?? nowMs });
  }

  /** Whether `range` holds the oldest record that a provider failed to take. */
  isStuck(queue: StreamQueue, { first, last }: SeqRange): boolean {
    const seq = this.#stuck.get(queue)?.seq ?? 0;
    return first <= seq && seq <= last;
  }

  /** A provider took `range`; returns the recovery when the oldest stuck record was in it. */
  recovered(queue: StreamQueue, range: SeqRange, nowMs: number): Recovery | null {
    const stuck = this.#stuck.get(queue);
    if (!stuck || !this.isStuck(queue, range)) return null;
    this.#stuck.delete(queue);
    return { seq: stuck.seq, from: stuck.provider, stuckMs: Math.round(nowMs - stuck.sinceMs) };
  }

  /** Call once a second. */
  measure(): void {
    this.#ratePerSecond = this.#accepted - this.#acceptedBefore;
    this.#acceptedBefore = this.#accepted;
    this.#drain.second(this.#drained);
    this.#drained = 0;
  }

  /** `inThisBoot`: a time of an epoch in monotonic time of this boot. */
  progress(nowMs: number, inThisBoot: (epoch: string, atMs: number) => number): StreamProgress {
    const backlog = this.queues.reduce((sum, queue) => sum + queue.backlog, 0);
    const waiting = this.queues.flatMap((queue) => {
      const atMs = queue.oldestWaitingMs();
      return atMs === null ? [] : [inThisBoot(queue.epoch, atMs)];
    });
    return {
      name: this.name,
      pending: this.queues.reduce((sum, queue) => sum + queue.owed, 0),
      inFlight: this.queues.reduce((sum, queue) => sum + queue.reserved, 0),
      awaitingReceipt: this.queues.reduce((sum, queue) => sum + queue.kept, 0),
      oldestAgeMs: waiting.length > 0 ? Math.max(0, Math.round(nowMs - Math.min(...waiting))) : null,
      accepted: this.#accepted,
      fewerCopies: this.fewerCopies,
      ratePerSecond: this.#ratePerSecond,
      backlog,
      timeToDrainMs: this.#drain.timeFor(backlog),
    };
  }
}
