/**
 * Group commit: records that arrive during a commit form the next one. So one sync carries many publishes,
 * and a slow disk makes larger commits, not a longer queue.
 *
 * Two kinds of items wait without being urgent. Records of streams with `interval` durability are
 * acknowledged at once and held in memory until their interval is over, all together, so that a card is
 * written once per interval. A write may take one more interval; when the disk is slower or fails, the stream
 * waits for the disk like the others, so that a power cut never costs more. Notes of deliveries travel with
 * the next commit: a lost note costs a second delivery, which the ledger recognises (I5).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import { Batch, type HeldRecords } from './batch.ts';
import type { Durability } from './limits.ts';
import type { CommitResult, Operation } from './protocol.ts';
import type { LossWindow, NewRecord, Settled, StoreError } from './types.ts';

/** Largest commit, in sizes of records (I10). */
const BATCH_BYTES_MAX = 2 * 2 ** 20;
/** Held records above this size are written early. */
const HELD_BYTES_MAX = 2 ** 20;
/** When the oldest held record is this many intervals old, no more records are held. */
const HELD_INTERVALS_MAX = 2;
/** Records of memory streams wait for an open file within this memory bound, in batches of this time. */
const KEPT_BYTES_MAX = 16 * 2 ** 20;
const KEPT_MS = 60_000;
/** Longest wait of delivery notes for records to travel with. */
const NOTES_WAIT_MS = 250;

/**
 * Minimum spacing of commits, unless much waits: on a fast disk, commits of a handful of records would cost
 * more than the records. The first record after a pause does not wait.
 */
const COMMIT_SPACING_MS = 2;
const GATHERED_BYTES = 64 * 1024;

/** Commits a batch and calls the listeners; null when it failed and {@link CommitQueue.failed} was called. */
type Commit = (batch: Batch) => Promise<CommitResult | null>;

export class CommitQueue {
  readonly #clock: Clock;
  readonly #commit: Commit;
  /** Oldest first; the last awaited batch takes new records. */
  #batches: Batch[] = [];
  #inFlight: Batch | null = null;
  #held: { batch: Batch; dueMs: number; timer: Timer } | null = null;
  /** By stream: since when records are acknowledged and not written. */
  readonly #heldSinceMs = new Map<string, number>();
  #notesTimer: Timer | null = null;
  #draining: Promise<void> | null = null;
  #isOpen: boolean = false;
  #isFlushing: boolean = false;
  #bytes = 0;

  constructor(clock: Clock, commit: Commit) {
    this.#clock = clock;
    this.#commit = commit;
  }

  /** Sum of the sizes of all records that are not yet committed. */
  get bytes(): number {
    return this.#bytes;
  }

  get isIdle(): boolean {
    return this.#draining === null;
  }

  /** `settled` is called when the record is durable, or with the error. */
  append(record: NewRecord, size: number, alongside: Operation | null, settled: Settled): void {
    this.#bytes += size;
    this.#drainSoon();
    this.#awaited().append(record, size, alongside, settled);
  }

  /**
   * Whether a record of the stream was acknowledged so long ago, without being written, that no more may be
   * held.
   */
  isOverdue(stream: string, withinMs: number): boolean {
    const sinceMs = this.#heldSinceMs.get(stream);
    return sinceMs !== undefined && this.#clock.monoMs() - sinceMs > withinMs * HELD_INTERVALS_MAX;
  }

  /**
   * Takes a record that must be durable within `withinMs` and acknowledges it now. For an overdue stream, the
   * acknowledgement waits for the commit.
   */
  hold(
    record: NewRecord,
    size: number,
    withinMs: number,
    alongside: Operation | null,
    settled: Settled,
  ): void {
    if (this.isOverdue(record.stream, withinMs)) {
      // Earlier records are written first.
      this.#release();
      this.append(record, size, alongside, settled);
      return;
    }
    this.#hold(record, size, withinMs, alongside, settled);
  }

  /** Whether a record may be taken while the file is closed, to be committed when it opens. */
  mayWait(stream: string, size: number, durability: Durability): boolean {
    switch (durability.kind) {
      case 'fsync':
        return false;
      case 'interval':
        return !this.isOverdue(stream, durability.intervalMs);
      case 'memory':
        return this.#bytes + size <= KEPT_BYTES_MAX;
    }
  }

  /** Takes a record, acknowledged now, of a memory stream; it gets its id when the file is open. */
  keep(record: NewRecord, size: number, alongside: Operation | null, settled: Settled): void {
    this.#hold(record, size, KEPT_MS, alongside, settled);
  }

  #hold(
    record: NewRecord,
    size: number,
    withinMs: number,
    alongside: Operation | null,
    settled: Settled,
  ): void {
    this.#bytes += size;
    const nowMs = this.#clock.monoMs();
    const { batch } = this.#holdUntil(nowMs + withinMs, nowMs);
    batch.hold(record, size, nowMs, alongside);
    if (!this.#heldSinceMs.has(record.stream)) this.#heldSinceMs.set(record.stream, nowMs);
    if (batch.size >= HELD_BYTES_MAX) this.#release();
    settled(null, 0);
  }

  /**
   * Resolves when the operation is durable: with the next records or after a moment, or at once when it is
   * urgent.
   */
  operate(operation: Operation, isUrgent: boolean): Promise<void> {
    if (isUrgent) this.#drainSoon();
    else if (this.#draining === null) {
      this.#notesTimer ??= this.#clock.setTimer(NOTES_WAIT_MS, () => this.#drainSoon());
    }
    return this.#awaited().operate(operation);
  }

  /** By stream, the records that are acknowledged and not durable. */
  lossWindows(): LossWindow[] {
    const nowMs = this.#clock.monoMs();
    const windows = new Map<string, LossWindow>();
    for (const [stream, { records, sinceMs }] of this.#allHeld()) {
      const window = windows.get(stream) ?? { stream, records: 0, ageMs: 0 };
      windows.set(stream, window);
      window.records += records;
      window.ageMs = Math.max(window.ageMs, nowMs - sinceMs);
    }
    return [...windows.values()];
  }

  /** The file is open: waiting batches are committed. */
  open(): void {
    this.#isOpen = true;
    // Records that came meanwhile go before new ones.
    this.#release();
    if (this.#batches.length > 0) this.#drainSoon();
  }

  /**
   * The file is closed. Awaited records are refused. Notes and held records stay until it is open again: none
   * of them has an id yet.
   */
  failed(error: StoreError): void {
    this.#isOpen = false;
    const notes = new Batch('awaited');
    const held: Batch[] = [];
    for (const batch of this.#inFlight ? [this.#inFlight, ...this.#batches] : this.#batches) {
      batch.rejectRecords(error, notes);
      if (batch.held) held.push(batch);
    }
    this.#inFlight = null;
    this.#batches = notes.operations.length > 0 ? [...held, notes] : held;
    this.#bytes = [...held, this.#held?.batch].reduce((sum, batch) => sum + (batch?.size ?? 0), 0);
  }

  /** Commits all waiting batches, if the file is open. */
  async flush(): Promise<void> {
    this.#isFlushing = true;
    this.#release();
    if (this.#batches.length > 0) this.#drainSoon();
    while (this.#draining !== null) await this.#draining;
  }

  /** Refuses all waiting batches. */
  end(error: StoreError): void {
    this.#held?.timer.cancel();
    this.#notesTimer?.cancel();
    for (const batch of this.#batches) batch.rejectOperations(error);
    this.#batches = [];
  }

  /** By stream and batch, oldest first. */
  #allHeld(): Array<[stream: string, HeldRecords]> {
    return [this.#inFlight, ...this.#batches, this.#held?.batch].flatMap((batch) => [...(batch?.held ?? [])]);
  }

  /** A batch of held records is durable. */
  #written(): void {
    this.#heldSinceMs.clear();
    for (const [stream, { sinceMs }] of this.#allHeld().reverse()) this.#heldSinceMs.set(stream, sinceMs);
  }

  #holdUntil(dueMs: number, nowMs: number): { batch: Batch } {
    const held = this.#held;
    if (held && held.dueMs <= dueMs) return held;
    held?.timer.cancel();
    const timer = this.#clock.setTimer(dueMs - nowMs, () => this.#release());
    this.#held = { batch: held?.batch ?? new Batch('held'), dueMs, timer };
    return this.#held;
  }

  /** The interval of the held records is over. */
  #release(): void {
    if (!this.#held) return;
    this.#held.timer.cancel();
    this.#batches.push(this.#held.batch);
    this.#held = null;
    this.#drainSoon();
  }

  /** The batch that takes new records. */
  #awaited(): Batch {
    const last = this.#batches.at(-1);
    if (last && !last.held && last.size < BATCH_BYTES_MAX) return last;
    const batch = new Batch('awaited');
    this.#batches.push(batch);
    return batch;
  }

  /** Drains at the end of this turn of the event loop, so that all input of one poll shares a sync. */
  #drainSoon(): void {
    if (!this.#isOpen) return;
    this.#draining ??= new Promise((resolve) => {
      setImmediate(() => {
        void this.#drain().finally(resolve);
      });
    });
  }

  /** Lets records gather after a commit that began at `startedMs`. */
  #gather(startedMs: number): Promise<void> | null {
    const leftMs = startedMs + COMMIT_SPACING_MS - this.#clock.monoMs();
    const [next] = this.#batches;
    const isMuch = next !== undefined && next.size >= GATHERED_BYTES;
    return leftMs <= 0 || isMuch || this.#isFlushing ? null : this.#clock.sleep(leftMs);
  }

  /** Commits batch after batch until none waits. */
  async #drain(): Promise<void> {
    this.#notesTimer?.cancel();
    this.#notesTimer = null;
    while (this.#isOpen) {
      const batch = this.#batches.shift();
      if (!batch) break;
      this.#inFlight = batch;
      const startedMs = this.#clock.monoMs();
      const result = await this.#commit(batch);
      if (!result) break;
      this.#inFlight = null;
      this.#bytes -= batch.size;
      if (batch.held) this.#written();
      batch.settle(result);
      await this.#gather(startedMs);
    }
    this.#draining = null;
    if (this.#isOpen && this.#batches.length > 0) this.#drainSoon();
  }
}
