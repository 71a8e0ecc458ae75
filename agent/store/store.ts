/**
 * The durable buffer, as the interface for the rest of the agent. A record is settled when it is as durable
 * as its stream requires (I1), by default on disk, with an id that is never reused (I2).
 *
 * When a commit fails, its records are refused, the file is closed and, after a pause, opened again under a
 * new epoch. The rows on disk stay. Whether or not the disk kept the failed commit, no id occurs twice (I2,
 * I9).
 */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';
import type { Logger } from '../../shared/log.ts';
import type { GapReason } from '../../shared/record.ts';
import type { Service } from '../../shared/service.ts';
import { NO_ROOM_TAKEN, noRoom } from './admission.ts';
import type { Batch } from './batch.ts';
import { CommitQueue } from './commit-queue.ts';
import { decodeRecords, decodeState } from './decode.ts';
import { DiskHealth } from './disk-health.ts';
import type { DiskState } from './disk-state.ts';
import { Epochs } from './epochs.ts';
import { Evicted } from './evicted.ts';
import { Housekeeping } from './housekeeping.ts';
import { DEFAULT_LIMITS, type Durability, limitsOf, type StoreLimits } from './limits.ts';
import type { CommitResult, EncodedStreamState, Opened, Operation } from './protocol.ts';
import { StoreFile } from './store-file.ts';
import { Tally } from './tally.ts';
import {
  type Acceptance,
  type Appended,
  type CommittedRange,
  type EpochInfo,
  type GivenUp,
  type LossWindow,
  memoryBytes,
  type NewRecord,
  type SessionItem,
  type Settled,
  type StoredRecord,
  type StoreError,
  type StoreOptions,
  type StoreStats,
  type StreamGap,
  type StreamState,
} from './types.ts';

const TIDY_EVERY_MS = 1000;

export class Store implements Service {
  #limits: StoreLimits;
  readonly #disk: DiskHealth;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #queue: CommitQueue;
  readonly #evicted: Evicted;
  readonly #file: StoreFile;
  readonly #commitListeners: Array<(committed: CommittedRange[]) => void> = [];
  readonly #gapListeners: Array<(gaps: StreamGap[]) => void> = [];
  readonly #reopenListeners: Array<() => void> = [];
  readonly #epochs: Epochs;
  readonly #housekeeping: Housekeeping;
  #initialStreams: EncodedStreamState[] = [];
  #sessions: SessionItem[] | null = null;
  readonly #failureListeners = new Set<() => void>();
  #tidyTimer: Timer | null = null;
  #room = NO_ROOM_TAKEN;
  readonly #tally = new Tally();

  constructor(options: StoreOptions) {
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#evicted = new Evicted(options.clock, options.log);
    this.#queue = new CommitQueue(options.clock, (batch) => this.#commit(batch));
    const { bootId, clock } = options;
    const offsetMs = Math.round(clock.wallMs() - clock.monoMs());
    this.#epochs = new Epochs({ bootId, offsetMs, quality: 'unsynchronised' });
    const operate = (operation: Operation): Promise<void> => this.#operate(operation);
    const limits = (): StoreLimits => this.#limits;
    this.#housekeeping = new Housekeeping({ bootId, clock, limits, operate });
    this.#disk = new DiskHealth(options);
    this.#file = new StoreFile({
      ...options,
      limits,
      disk: this.#disk,
      epochClock: () => this.#epochs.clock,
      onOpened: (opened) => this.#opened(opened),
      onReopened: () => this.#reopened(),
      onFailed: (error) => this.#failed(error),
    });
  }

  /**
   * Opens or creates the file and begins a new epoch; a damaged file is set aside. A failing disk gets a
   * named state and is retried, as in a later failure (I9). Rejects with a StoreError when another process
   * has the file, and with StartRefused for a wrong key and a file of a newer version or another gateway.
   */
  async start(): Promise<void> {
    if (await this.#file.open()) this.#queue.open();
    this.#tidyTimer = this.#clock.every(TIDY_EVERY_MS, () => this.#tidy());
  }

  /**
   * The epoch of new records: `<start counter>-<8 hex digits>`. Changes when the store reopens after a
   * failure.
   */
  get epoch(): string {
    return this.#epochs.present;
  }

  /** The present epoch, and earlier ones that still have rows, gaps or an end to announce. */
  epochs(): EpochInfo[] {
    return this.#epochs.all();
  }

  /** The buffer's content at the last opening. The sets belong to the caller. */
  initialState(): StreamState[] {
    return this.#initialStreams.map(decodeState);
  }

  /**
   * Calls `settled` when the record is as durable as its stream requires, on disk (I1) or in memory, or with
   * an error when it may not be durable: the sender may repeat it, and it then gets another id. `session`
   * becomes durable with the record, or not at all. A callback, because a promise for each of thousands of
   * publishes a second would be expensive.
   */
  submit(record: NewRecord, session: SessionItem | null, settled: Settled): void {
    const { stream } = record;
    const size = memoryBytes(record);
    const { durability } = limitsOf(this.#limits, stream);
    const refusal = this.#refusal(stream, size, durability);
    const alongside: Operation | null = session && { kind: 'sessions', items: [session] };
    if (refusal) {
      settled(refusal, 0);
    } else if (durability.kind === 'interval') {
      this.#queue.hold(record, size, durability.intervalMs, alongside, settled);
    } else if (durability.kind === 'memory' && !this.#file.isOpen) {
      this.#queue.keep(record, size, alongside, settled);
    } else {
      this.#queue.append(record, size, alongside, settled);
    }
  }

  /**
   * Other limits hold for records that are submitted from here on. Resolves when they hold in the file too,
   * and all records that were submitted before and do not wait in memory are durable; survives a reopening.
   */
  setLimits(limits: StoreLimits): Promise<void> {
    this.#limits = limits;
    return this.#operate({ kind: 'limits', limits }, true);
  }

  /** {@link submit} as a promise, which rejects with a StoreError. */
  append(record: NewRecord, session: SessionItem | null = null): Promise<Appended> {
    return new Promise((resolve, reject) => {
      this.submit(record, session, (error, seq) => {
        if (error) reject(error);
        else resolve({ stream: record.stream, seq });
      });
    });
  }

  /** `listener` is called after each commit that added records, before the next commit. */
  onCommit(listener: (committed: CommittedRange[]) => void): void {
    this.#commitListeners.push(listener);
  }

  /** `listener` is called when records were given up, durably, after the listeners of that commit. */
  onGaps(listener: (gaps: StreamGap[]) => void): void {
    this.#gapListeners.push(listener);
  }

  /**
   * Records of `first..last` in the buffer, ascending, until `maxBytes` (of recordBytes) are reached; at
   * least one when there is any. Waits behind at most one commit. Rejects with a StoreError while the file is
   * closed.
   */
  async read(
    epoch: string,
    stream: string,
    first: number,
    last: number,
    maxBytes: number,
  ): Promise<StoredRecord[]> {
    const result = await this.#file.call('read', { epoch, stream, first, last, maxBytes });
    return decodeRecords(result);
  }

  /**
   * Notes that a provider, or the router, has a range; rows that are thereby free are deleted (I3,
   * progress.ts). Like the next two: resolves when durable, need not be awaited, survives a reopening, is
   * idempotent.
   */
  accept(acceptance: Acceptance): Promise<void> {
    return this.#operate({ kind: 'accept', ...acceptance });
  }

  /** The gap was delivered and is deleted. */
  acceptGap(epoch: string, stream: string, first: number, last: number): Promise<void> {
    return this.#operate({ kind: 'accept-gap', epoch, stream, first, last });
  }

  /**
   * Records that are unreadable, or cannot be kept: they become a gap, and {@link onGaps} listeners are
   * called (I3).
   */
  giveUp(epoch: string, stream: string, first: number, last: number, reason: GapReason): Promise<void> {
    return this.#operate({ kind: 'give-up', epoch, stream, first, last, reason });
  }

  /** The broker's session items changed. Resolves when the change is durable; survives a reopening. */
  writeSessions(items: SessionItem[]): Promise<void> {
    return items.length > 0 ? this.#operate({ kind: 'sessions', items }, true) : Promise.resolve();
  }

  /**
   * The broker's stored items, once the file was first opened. Returns them only once, because they may be
   * large.
   */
  takeSessions(): SessionItem[] {
    return this.#sessions?.splice(0) ?? [];
  }

  /**
   * The end of an older epoch's stream was announced. The stream is deleted when nothing else is left of it.
   */
  acceptSeal(epoch: string, stream: string): Promise<void> {
    return this.#operate({ kind: 'accept-seal', epoch, stream });
  }

  /**
   * The present mapping of monotonic time to wall time. It is stored with each epoch that it is valid for,
   * for records that are read later.
   */
  setClock(clock: EnvelopeClock): void {
    for (const epoch of this.#epochs.setClock(clock)) {
      if (this.#file.isOpen) void this.#operate({ kind: 'clock', epoch, clock });
    }
  }

  stats(): Promise<StoreStats> {
    return this.#tally.stats(this.#file.path);
  }

  /**
   * The bound of the buffer, and what of it is taken: the pages in use, and what is set aside for the log.
   */
  get space(): { usedBytes: number; limitBytes: number } {
    return { usedBytes: this.#room.usedBytes, limitBytes: this.#limits.maxBytes };
  }

  /**
   * Record bytes made durable since start, and the bytes written to disk for them (null where the system does
   * not report it).
   */
  get written(): { payloadBytes: number; writtenBytes: number | null } {
    return this.#tally;
  }

  /** By stream, the records that are acknowledged and not on disk; without memory streams. */
  lossWindows(): LossWindow[] {
    return this.#queue.lossWindows();
  }

  /** By stream and reason. */
  get evicted(): readonly GivenUp[] {
    return this.#evicted.totals();
  }

  /** In any state other than `ok`, appends are refused; the store recovers by itself. */
  state(): DiskState {
    return this.#disk.state;
  }

  /** Damaged files since start, and their pending records that were unreadable (I3). */
  get damage(): Readonly<{ files: number; lostRecords: number }> {
    return this.#disk.damage;
  }

  /** The last error of the store, also after its recovery. */
  get lastError(): StoreError | null {
    return this.#disk.lastError;
  }

  /** Whether the file is open, so that commits go to the disk. */
  get isOpen(): boolean {
    return this.#file.isOpen;
  }

  /** `listener` is called at each failure, until the returned function is called. */
  onFailure(listener: () => void): () => void {
    this.#failureListeners.add(listener);
    return () => this.#failureListeners.delete(listener);
  }

  /**
   * `listener` is called when the file is open after a failure, also one at the start: `epoch` and
   * `initialState()` are new.
   */
  onReopen(listener: () => void): void {
    this.#reopenListeners.push(listener);
  }

  /** Commits the queue, then closes the file. Logs acknowledged records that could not be written. */
  async stop(): Promise<void> {
    this.#tidyTimer?.cancel();
    await this.#file.endReopening();
    await this.#queue.flush();
    await this.#file.endReopening();
    for (const { stream, records } of this.#queue.lossWindows())
      this.#log.error({ event: 'store.lost', stream, records, state: this.#disk.state });
    await this.#file.close();
    this.#queue.end(this.#file.notOpen());
  }

  /**
   * Null when the record is admitted. Records of some streams are admitted also while the file is being
   * reopened.
   */
  #refusal(stream: string, size: number, durability: Durability): StoreError | null {
    const waits = this.#disk.lastError !== null && this.#queue.mayWait(stream, size, durability);
    if (this.#file.isStopping || !(this.#file.isOpen || waits)) return this.#file.notOpen();
    const diskRefusal = durability.kind === 'memory' ? null : this.#disk.refusal;
    return diskRefusal ?? noRoom(this.#limits, this.#room, stream, this.#queue.bytes + size);
  }

  #operate(operation: Operation, isUrgent = false): Promise<void> {
    const done = this.#file.isStopping
      ? Promise.reject(this.#file.notOpen())
      : this.#queue.operate(operation, isUrgent);
    // The caller was told that it need not wait.
    done.catch(() => undefined);
    return done;
  }

  /** Null when the file failed. */
  async #commit(batch: Batch): Promise<CommitResult | null> {
    const records = batch.columns();
    const startedMs = this.#clock.monoMs();
    // Held records are kept for another try, so the thread gets a copy of them.
    const transfer = batch.held ? [] : [records.payloads.buffer, records.numbers.buffer];
    const result = await this.#file
      .call('commit', { records, operations: [...batch.operations] }, transfer)
      .catch(() => null); // The failure itself has settled all waiting calls.
    if (!result) return null;
    this.#tally.committed(result, this.#clock.monoMs() - startedMs);
    this.#committed(result);
    return result;
  }

  #committed({ appended, gaps, endedEpochs, hasTooOld, room }: CommitResult): void {
    this.#room = room;
    if (appended.length > 0) this.#file.proven();
    this.#housekeeping.committed(hasTooOld);
    this.#epochs.ended(endedEpochs);
    if (appended.length > 0) for (const listener of this.#commitListeners) listener(appended);
    if (gaps.length === 0) return;
    this.#evicted.add(gaps);
    for (const listener of this.#gapListeners) listener(gaps);
  }

  /** Refuses the queued records and keeps the rest for a new epoch. */
  #failed(error: StoreError): void {
    for (const listener of this.#failureListeners) listener();
    this.#queue.failed(error);
    this.#log.error({ event: 'store.failed', error: error.message, epoch: this.epoch });
  }

  #opened(opened: Opened): void {
    this.#initialStreams = opened.streams;
    // Sessions are null before the first opening: what is found at later ones was counted when it was given
    // up.
    if (this.#sessions === null) this.#evicted.found(opened.streams);
    this.#sessions ??= opened.sessions;
    this.#tally.opened(opened);
    this.#room = opened.room;
    this.#epochs.opened(opened);
  }

  #reopened(): void {
    for (const listener of this.#reopenListeners) listener();
    this.#queue.open();
  }

  #tidy(): void {
    this.#evicted.tell();
    if (!this.#file.isOpen) return;
    const { isIdle } = this.#queue;
    this.#file.call('tidy', { isIdle }).then(
      ({ writtenBytes, hasRoom }) => {
        this.#tally.wrote(writtenBytes);
        this.#disk.inspected(hasRoom);
      },
      () => undefined, // The failure itself has settled all waiting calls.
    );
    this.#housekeeping.tick(isIdle, this.#room);
  }
}
