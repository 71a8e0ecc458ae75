/**
 * The durable buffer, as the rest of the agent sees it. A promise of `append` resolves when the record is on the disk
 * (I1), with an id that is never given again (I2).
 *
 * Group commit: what arrives while the thread commits is the next commit, so one sync carries many publishes and a slow
 * disk makes larger commits, not a longer queue of them.
 *
 * When a commit fails, its records are refused, the file is closed and, after a pause, opened again under a new epoch:
 * the rows on the disk stay, and whatever the disk did with the failed commit, no id comes twice (I2, I9).
 */
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import { errorText, type Logger } from '../../shared/log.ts';
import type { Service } from '../../shared/service.ts';
import { Batch } from './batch.ts';
import { decodeRecords, decodeState } from './decode.ts';
import type { CommitResult, EncodedStreamState, Opened, Operation } from './protocol.ts';
import { StoreThread } from './thread.ts';
import {
  type Acceptance,
  type Appended,
  type CommittedRange,
  type EpochInfo,
  type NewRecord,
  recordBytes,
  type StoredRecord,
  StoreError,
  type StoreStats,
  type StreamState,
} from './types.ts';

const DEFAULT_MAX_BYTES = 2 * 2 ** 30;
/** What a row takes in the file beside its text and payload, about. Counted, so that tiny records have a bound too (I10). */
const ROW_OVERHEAD_BYTES = 32;
/** What one commit holds, and all that wait for the disk: record bytes and row overhead (I10). */
const BATCH_BYTES_MAX = 2 * 2 ** 20;
const QUEUE_BYTES_MAX = 64 * 2 ** 20;
const REOPEN_MIN_MS = 500;
const REOPEN_MAX_MS = 30_000;
const VACUUM_EVERY_MS = 1000;
/** A smaller move of the wall clock is not worth a write. */
const CLOCK_WRITE_MS = 50;

export interface StoreOptions {
  file: string;
  bootId: string;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
  /** Bound of the buffer: record bytes with a small sum per row for the file's own needs. Default 2 GiB. */
  maxBytes?: number;
}

export class Store implements Service {
  readonly #file: string;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #log: Logger;
  readonly #commitListeners: Array<(committed: CommittedRange[]) => void> = [];
  readonly #reopenListeners: Array<() => void> = [];
  readonly #stopping = new AbortController();
  readonly #epochs = new Map<string, EnvelopeClock>();
  #epoch = '';
  #envelopeClock: EnvelopeClock;
  #initialStreams: EncodedStreamState[] = [];
  /** Null while the file is not open. */
  #thread: StoreThread | null = null;
  #lastError: StoreError | null = null;
  /** Waiting for the thread, oldest first; the last one takes what arrives. */
  #batches: Batch[] = [];
  #inFlight: Batch | null = null;
  #draining: Promise<void> | null = null;
  #reopening: Promise<void> = Promise.resolve();
  #vacuumTimer: Timer | null = null;
  #rows = 0;
  #bytes = 0;
  #queuedBytes = 0;
  #commits = 0;
  #lastCommitMs = 0;

  constructor(options: StoreOptions) {
    this.#file = options.file;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#log = options.log;
    const offsetMs = Math.round(options.clock.wallMs() - options.clock.monoMs());
    this.#envelopeClock = { bootId: options.bootId, offsetMs, quality: 'unsynchronised' };
  }

  /**
   * Opens or creates the file and begins a new epoch; a damaged file is set aside. Rejects with a StoreError when another
   * process has the file, a newer version wrote it, or the disk refuses.
   */
  async start(): Promise<void> {
    await this.#open();
    this.#vacuumTimer = this.#clock.every(VACUUM_EVERY_MS, () => this.#vacuum());
  }

  /** The epoch that new records get: `<start counter>-<8 hex digits>`. Changes when the store reopens after a failure. */
  get epoch(): string {
    return this.#epoch;
  }

  /** The present epoch, and those before it that still have rows, gaps or an end to announce. */
  epochs(): EpochInfo[] {
    return [...this.#epochs].map(([epoch, clock]) => ({ epoch, clock, current: epoch === this.#epoch }));
  }

  /** What was in the buffer when it was last opened. The sets belong to the caller. */
  initialState(): StreamState[] {
    return this.#initialStreams.map(decodeState);
  }

  /**
   * Resolves when the record is on the disk (I1). Rejects with a StoreError when it is not known to be there; the sender
   * may repeat it, and it then gets another id.
   */
  append(record: NewRecord): Promise<Appended> {
    const size = recordBytes(record) + ROW_OVERHEAD_BYTES;
    const refusal = this.#refusal(size);
    if (refusal) return Promise.reject(refusal);
    this.#queuedBytes += size;
    return this.#openBatch().append(record, size);
  }

  /** Called after each commit that added records, before anything else is committed. */
  onCommit(listener: (committed: CommittedRange[]) => void): void {
    this.#commitListeners.push(listener);
  }

  /**
   * Records of `first..last` that are in the buffer, ascending, until `maxBytes` (of recordBytes) are reached; at least
   * one when there is any. Waits behind at most one commit. Rejects with a StoreError while the file is not open.
   */
  async read(
    epoch: string,
    stream: string,
    first: number,
    last: number,
    maxBytes: number,
  ): Promise<StoredRecord[]> {
    const thread = this.#thread;
    if (!thread) throw this.#notOpen();
    const result = await thread
      .call('read', { epoch, stream, first, last, maxBytes })
      .catch((error: StoreError) => this.#fail(thread, error));
    return decodeRecords(result);
  }

  /**
   * Notes that a provider accepted a range; rows that enough providers accepted are deleted (I3, progress.ts).
   * Like the next two: resolves when durable, need not be awaited, survives a reopening, may be repeated.
   */
  accept(acceptance: Acceptance): Promise<void> {
    return this.#operate({ kind: 'accept', ...acceptance });
  }

  /** The gap was delivered and is forgotten. */
  acceptGap(epoch: string, stream: string, first: number, last: number): Promise<void> {
    return this.#operate({ kind: 'accept-gap', epoch, stream, first, last });
  }

  /** The end of an older epoch's stream was announced. When nothing else is left of it, it leaves no trace. */
  acceptSeal(epoch: string, stream: string): Promise<void> {
    return this.#operate({ kind: 'accept-seal', epoch, stream });
  }

  /** How monotonic time maps to wall time now. Kept with the epoch, for its records that are read after a restart. */
  setClock(clock: EnvelopeClock): void {
    const kept = this.#envelopeClock;
    const moved = Math.abs(clock.offsetMs - kept.offsetMs) >= CLOCK_WRITE_MS;
    if (!moved && clock.quality === kept.quality && clock.bootId === kept.bootId) return;
    this.#envelopeClock = clock;
    if (!this.#thread) return;
    this.#epochs.set(this.#epoch, clock);
    void this.#operate({ kind: 'clock', epoch: this.#epoch, clock });
  }

  async stats(): Promise<StoreStats> {
    return {
      rows: this.#rows,
      bytes: this.#bytes,
      fileBytes: await sizeOf(this.#file),
      walBytes: await sizeOf(`${this.#file}-wal`),
      commits: this.#commits,
      lastCommitMs: this.#lastCommitMs,
    };
  }

  /** `failed`: the file is not open and appends are refused; it is being reopened. */
  state(): 'ok' | 'failed' {
    return this.#thread ? 'ok' : 'failed';
  }

  /** What made the store fail last, also after it recovered. */
  get lastError(): StoreError | null {
    return this.#lastError;
  }

  /** Called when the file is open again after a failure: `epoch` and `initialState()` are new. */
  onReopen(listener: () => void): void {
    this.#reopenListeners.push(listener);
  }

  /** Commits what is queued, then closes the file. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#vacuumTimer?.cancel();
    await this.#reopening;
    while (this.#draining !== null) await this.#draining;
    await this.#reopening;
    const thread = this.#thread;
    this.#thread = null;
    if (thread) await thread.call('close', null).finally(() => thread.end());
    for (const batch of this.#batches) batch.rejectOperations(this.#notOpen());
    this.#batches = [];
  }

  #refusal(size: number): StoreError | null {
    if (this.#stopping.signal.aborted || !this.#thread) return this.#notOpen();
    const held = this.#bytes + this.#rows * ROW_OVERHEAD_BYTES + this.#queuedBytes;
    if (held + size > this.#maxBytes) {
      return new StoreError('full', `the buffer holds ${held} of ${this.#maxBytes} bytes`);
    }
    if (this.#queuedBytes + size > QUEUE_BYTES_MAX) {
      return new StoreError('overloaded', `${this.#queuedBytes} bytes wait for the disk`);
    }
    return null;
  }

  #notOpen(): StoreError {
    if (this.#stopping.signal.aborted || !this.#lastError) {
      return new StoreError('stopped', 'the store is not running');
    }
    return new StoreError('failed', this.#lastError.message);
  }

  #operate(operation: Operation): Promise<void> {
    if (this.#stopping.signal.aborted) return swallowed(Promise.reject(this.#notOpen()));
    return swallowed(this.#openBatch().operate(operation));
  }

  /** The batch that takes what arrives now; sees to it that it is committed. */
  #openBatch(): Batch {
    this.#draining ??= new Promise((resolve) => {
      // At the end of this turn of the event loop, so that all that one poll brought shares a sync.
      setImmediate(() => {
        void this.#drain().finally(resolve);
      });
    });
    const last = this.#batches.at(-1);
    if (last && last.size < BATCH_BYTES_MAX) return last;
    const batch = new Batch();
    this.#batches.push(batch);
    return batch;
  }

  /** Commits batch after batch until none waits. */
  async #drain(): Promise<void> {
    for (let thread = this.#thread; thread; thread = this.#thread) {
      const batch = this.#batches.shift();
      if (!batch) break;
      this.#inFlight = batch;
      const records = batch.columns();
      const call = { records, operations: [...batch.operations] };
      const startedMs = this.#clock.monoMs();
      const result = await thread
        .call('commit', call, [records.payloads.buffer])
        .catch((error: StoreError) => this.#failed(thread, error));
      if (!result) break;
      this.#inFlight = null;
      this.#committed(batch, result, this.#clock.monoMs() - startedMs);
    }
    this.#draining = null;
  }

  #committed(batch: Batch, result: CommitResult, tookMs: number): void {
    this.#commits += 1;
    this.#lastCommitMs = tookMs;
    let rows = 0;
    let bytes = 0;
    for (const range of result.appended) {
      rows += range.last - range.first + 1;
      bytes += range.bytes;
    }
    this.#queuedBytes -= bytes + rows * ROW_OVERHEAD_BYTES;
    this.#rows += rows - result.freedRows;
    this.#bytes += bytes - result.freedBytes;
    for (const epoch of result.endedEpochs) this.#epochs.delete(epoch);
    batch.settle(result);
    if (rows > 0) for (const listener of this.#commitListeners) listener(result.appended);
  }

  #fail(thread: StoreThread, error: StoreError): never {
    this.#failed(thread, error);
    throw error;
  }

  /** The thread has ended: refuses what is queued, keeps the operations, and goes on under a new epoch. */
  #failed(thread: StoreThread, error: StoreError): void {
    if (this.#thread !== thread) return;
    this.#thread = null;
    this.#lastError = error;
    const kept = new Batch();
    for (const batch of this.#inFlight ? [this.#inFlight, ...this.#batches] : this.#batches) {
      batch.rejectRecords(error, kept);
    }
    this.#inFlight = null;
    this.#batches = kept.operations.length > 0 ? [kept] : [];
    this.#queuedBytes = 0;
    this.#log.error({ event: 'store.failed', error: error.message, epoch: this.#epoch });
    this.#reopening = this.#reopen(thread);
  }

  async #reopen(ended: StoreThread): Promise<void> {
    await ended.end();
    for (let pauseMs = REOPEN_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, REOPEN_MAX_MS)) {
      await this.#clock.sleep(pauseMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#open();
        break;
      } catch (error) {
        this.#log.error({ event: 'store.reopen_failed', error: errorText(error), pauseMs });
      }
    }
    for (const listener of this.#reopenListeners) listener();
    if (this.#batches.length > 0) this.#openBatch();
  }

  async #open(): Promise<void> {
    const suffix = Buffer.from(this.#entropy.bytes(4)).toString('hex');
    const thread = new StoreThread();
    let opened: Opened;
    try {
      opened = await thread.call('open', { file: this.#file, suffix, clock: this.#envelopeClock });
    } catch (error) {
      await thread.end();
      throw error;
    }
    this.#thread = thread;
    this.#epoch = opened.epoch;
    this.#initialStreams = opened.streams;
    this.#rows = opened.rows;
    this.#bytes = opened.bytes;
    this.#epochs.clear();
    for (const { epoch, clock } of opened.olderEpochs) this.#epochs.set(epoch, clock);
    this.#epochs.set(opened.epoch, this.#envelopeClock);
    const { epoch, rows, bytes, damage } = opened;
    if (damage) this.#log.error({ event: 'store.damaged', ...damage, file: this.#file });
    this.#log.info({ event: 'store.opened', epoch, rows, bytes, olderEpochs: opened.olderEpochs.length });
  }

  #vacuum(): void {
    const thread = this.#thread;
    if (!thread || this.#draining !== null) return;
    thread.call('vacuum', null).catch((error: StoreError) => this.#failed(thread, error));
  }
}

/** A promise whose rejection nobody has to handle: the caller was told that it need not wait. */
function swallowed(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
