/**
 * The world's model of the buffer, in place of SQLite and its thread. A Disk outlives the agent; a SimBuffer
 * is the store of one run of it. What was not synced at a crash is lost, or is there although nobody was
 * told: both happen. Which rows leave is decided by the real rules: progress.ts, gaps.ts, limits.ts,
 * admission.ts.
 */
import { noRoom } from '../../agent/store/admission.ts';
import { withGap, withoutRange } from '../../agent/store/file/gaps.ts';
import { accept } from '../../agent/store/file/progress.ts';
import { limitsOf, nextVictim, type StoreLimits } from '../../agent/store/limits.ts';
import {
  type Acceptance,
  type CommittedRange,
  type EpochInfo,
  type NewRecord,
  type Room,
  recordBytes,
  type Settled,
  type StoredRecord,
  StoreError,
  type StreamGap,
  type StreamState,
} from '../../agent/store/types.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { GapReason, SeqRange } from '../../shared/record.ts';
import type { Disk, DiskStream } from './disk.ts';
import type { ProcessClock } from './time.ts';
import type { Truth } from './truth.ts';

const SYNC_MS = 4;
const REOPEN_MS = 500;

type Operation = { epoch: string; stream: string; apply: (stream: DiskStream) => void };

interface Append {
  record: NewRecord;
  size: number;
  settled: Settled;
}

interface Batch {
  appends: Append[];
  operations: Operation[];
}

export interface SimBufferOptions {
  gateway: string;
  disk: Disk;
  limits: StoreLimits;
  /** The rules of the policy in force for a stream, by the world's own record. */
  copiesOf: (stream: string) => number;
  clock: ProcessClock;
  bootId: string;
  entropy: Entropy;
  truth: Truth;
  nowMs: () => number;
}

export class SimBuffer {
  epoch: string = '';
  readonly #options: SimBufferOptions;
  readonly #commitListeners: Array<(committed: CommittedRange[]) => void> = [];
  readonly #gapListeners: Array<(gaps: StreamGap[]) => void> = [];
  readonly #reopenListeners: Array<() => void> = [];
  #appends: Append[] = [];
  #operations: Operation[] = [];
  #syncing: Batch | null = null;
  #isOpen: boolean = true;
  #states: StreamState[] = [];

  constructor(options: SimBufferOptions) {
    this.#options = options;
    this.#open();
  }

  epochs(): EpochInfo[] {
    const { disk } = this.#options;
    return [...disk.epochs].map(([epoch, clock]) => ({ epoch, clock, current: epoch === this.epoch }));
  }

  initialState(): StreamState[] {
    return this.#states;
  }

  onCommit(listener: (committed: CommittedRange[]) => void): void {
    this.#commitListeners.push(listener);
  }

  onGaps(listener: (gaps: StreamGap[]) => void): void {
    this.#gapListeners.push(listener);
  }

  onReopen(listener: () => void): void {
    this.#reopenListeners.push(listener);
  }

  submit(record: NewRecord, _session: unknown, settled: Settled): void {
    const size = recordBytes(record);
    const refusal = this.#isOpen
      ? noRoom(this.#options.limits, this.#room(), record.stream, this.#waitingBytes() + size)
      : new StoreError('failed', 'the disk failed');
    if (refusal) {
      settled(refusal, 0);
    } else {
      this.#appends.push({ record, size, settled });
      this.#sync();
    }
  }

  async read(
    epoch: string,
    name: string,
    first: number,
    last: number,
    maxBytes: number,
  ): Promise<StoredRecord[]> {
    if (!this.#isOpen) throw new StoreError('failed', 'the disk failed');
    const stream = this.#options.disk.find(epoch, name);
    const rows: StoredRecord[] = [];
    let bytes = 0;
    for (const range of stream?.progress.pending.within(first, last) ?? []) {
      for (let seq = range.first; seq <= range.last; seq += 1) {
        const row = stream?.rows.get(seq);
        if (!row) continue;
        bytes += recordBytes(row);
        if (bytes > maxBytes && rows.length > 0) return rows;
        rows.push(row);
      }
    }
    return rows;
  }

  accept({ epoch, stream, provider, first, last, copies, untilReceipt }: Acceptance): Promise<void> {
    return this.#operate(epoch, stream, (one) => {
      for (const range of accept(one.progress, provider, { first, last }, copies, untilReceipt)) {
        for (const seq of this.#drop(one, range)) this.#freed(one, seq);
      }
    });
  }

  acceptGap(epoch: string, stream: string, first: number, last: number): Promise<void> {
    return this.#operate(epoch, stream, (one) => {
      one.gaps = withoutRange(one.gaps, { first, last });
    });
  }

  acceptSeal(epoch: string, stream: string): Promise<void> {
    return this.#operate(epoch, stream, (one) => {
      one.isEndAnnounced = true;
    });
  }

  giveUp(epoch: string, stream: string, first: number, last: number, reason: GapReason): Promise<void> {
    return this.#operate(epoch, stream, (one) => this.#giveUp(one, { first, last }, reason));
  }

  /** Power or process gone: what is being synced may have reached the disk (`lands`), the rest is lost. */
  crash(lands: boolean): void {
    const batch = this.#syncing;
    if (batch && lands) this.#apply(batch);
  }

  /** Rows and the end of epochs that are still to be told to somebody. */
  get isDrained(): boolean {
    const { disk } = this.#options;
    const owes = ({ epoch, progress, gaps, isEndAnnounced }: DiskStream): boolean =>
      progress.pending.size > 0 || gaps.length > 0 || (epoch !== this.epoch && !isEndAnnounced);
    return !this.#syncing && this.#operations.length === 0 && !disk.streams.some(owes);
  }

  /** Refusing for want of room is in order. */
  get isNearlyFull(): boolean {
    return this.#usedBytes() + this.#waitingBytes() > this.#options.limits.maxBytes / 2;
  }

  #operate(epoch: string, stream: string, apply: (stream: DiskStream) => void): Promise<void> {
    this.#operations.push({ epoch, stream, apply });
    this.#sync();
    return Promise.resolve();
  }

  #sync(): void {
    if (this.#syncing || !this.#isOpen || this.#appends.length + this.#operations.length === 0) return;
    const { disk, clock, nowMs } = this.#options;
    const batch = { appends: this.#appends, operations: this.#operations };
    [this.#appends, this.#operations, this.#syncing] = [[], [], batch];
    clock.setTimer(Math.max(SYNC_MS, disk.stalledUntilMs - nowMs() + SYNC_MS), () => this.#synced(batch));
  }

  #synced(batch: Batch): void {
    const { disk, nowMs, entropy } = this.#options;
    this.#syncing = null;
    if (nowMs() < disk.failsUntilMs) {
      // The effect of a failed sync on the disk is unknown.
      if (entropy.float() < 0.5) this.#apply(batch);
      this.#failed(batch);
      return;
    }
    const { committed, gaps, seqs } = this.#apply(batch);
    if (committed.length > 0) for (const listener of this.#commitListeners) listener(committed);
    for (const [i, { settled }] of batch.appends.entries()) settled(null, seqs[i] ?? 0);
    if (gaps.length > 0) for (const listener of this.#gapListeners) listener(gaps);
    this.#sync();
  }

  #failed(batch: Batch): void {
    const error = new StoreError('failed', 'the disk failed');
    this.#isOpen = false;
    for (const { settled } of [...batch.appends, ...this.#appends]) settled(error, 0);
    this.#appends = [];
    this.#operations = [...batch.operations, ...this.#operations];
    const { clock, disk, nowMs } = this.#options;
    clock.setTimer(Math.max(REOPEN_MS, disk.failsUntilMs - nowMs()), () => {
      this.#open();
      this.#isOpen = true;
      for (const listener of this.#reopenListeners) listener();
      this.#sync();
    });
  }

  #open(): void {
    const { disk, entropy, clock, bootId, gateway, truth } = this.#options;
    const offsetMs = Math.round(clock.wallMs() - clock.monoMs());
    this.epoch = disk.beginEpoch(entropy, { bootId, offsetMs, quality: 'unsynchronised' });
    truth.epochBegan(gateway, this.epoch);
    this.#states = disk.streams.map(({ epoch, name, progress, gaps, isEndAnnounced, lastSeq, bytes }) => ({
      epoch,
      stream: name,
      pending: progress.pending.clone(),
      accepted: new Map([...progress.accepted].map(([provider, set]) => [provider, set.clone()])),
      gaps: [...gaps],
      sealedAt: isEndAnnounced || epoch === this.epoch ? null : lastSeq,
      bytes,
    }));
  }

  /** One transaction. */
  #apply(batch: Batch): { committed: CommittedRange[]; gaps: StreamGap[]; seqs: number[] } {
    const { disk } = this.#options;
    const committed = new Map<string, CommittedRange>();
    const seqs = batch.appends.map(({ record, size }) => {
      const stream = disk.find(this.epoch, record.stream) ?? this.#create(record.stream);
      stream.lastSeq += 1;
      const seq = stream.lastSeq;
      const row = { ...record, seq };
      stream.rows.set(seq, row);
      stream.bytes += size;
      stream.progress.pending.add(seq);
      const range = committed.get(record.stream) ?? {
        stream: record.stream,
        first: seq,
        last: seq,
        bytes: 0,
      };
      committed.set(record.stream, { ...range, last: seq, bytes: range.bytes + size });
      this.#options.truth.stored(this.#id(stream, seq), row);
      return seq;
    });
    const before = this.#gaps();
    for (const { epoch, stream: name, apply } of batch.operations) {
      const stream = disk.find(epoch, name);
      if (!stream) continue;
      apply(stream);
      this.#forgetWhenOver(stream);
    }
    if (batch.appends.length > 0) this.#makeRoom();
    const gaps = this.#gaps().filter((gap) => !before.some((other) => sameGap(gap, other)));
    return { committed: [...committed.values()], gaps, seqs };
  }

  #gaps(): StreamGap[] {
    return this.#options.disk.streams.flatMap(({ epoch, name, gaps }) =>
      gaps.map((gap) => ({ epoch, stream: name, ...gap })),
    );
  }

  #create(name: string): DiskStream {
    const stream: DiskStream = {
      epoch: this.epoch,
      name,
      lastSeq: 0,
      bytes: 0,
      isEndAnnounced: false,
      progress: { pending: IntervalSet.empty(), accepted: new Map() },
      gaps: [],
      rows: new Map(),
    };
    this.#options.disk.streams.push(stream);
    return stream;
  }

  #forgetWhenOver(stream: DiskStream): void {
    const { epoch, isEndAnnounced, progress, gaps } = stream;
    if (epoch === this.epoch || !isEndAnnounced || progress.pending.size > 0 || gaps.length > 0) return;
    const { disk } = this.#options;
    disk.streams = disk.streams.filter((other) => other !== stream);
    if (!disk.streams.some((other) => other.epoch === epoch)) disk.epochs.delete(epoch);
  }

  #makeRoom(): void {
    const { disk, limits, truth } = this.#options;
    while (this.#usedBytes() > limits.maxBytes) {
      const holdings = disk.streams
        .filter(({ bytes }) => bytes > 0)
        .map((stream) => ({
          stream,
          limits: limitsOf(limits, stream.name),
          epochNumber: Number.parseInt(stream.epoch, 10),
          oldestMonoMs: stream.rows.get(stream.progress.pending.min)?.monoMs ?? 0,
        }));
      const victim = nextVictim(holdings)?.stream;
      if (!victim) break;
      const seq = victim.progress.pending.min;
      this.#giveUp(victim, { first: seq, last: seq }, 'quota');
    }
    const held = this.#usedBytes();
    truth.check(held <= limits.maxBytes * 1.1, 'I10', () => `the buffer holds ${held} bytes`);
  }

  #giveUp(stream: DiskStream, { first, last }: SeqRange, reason: GapReason): void {
    const { pending, accepted } = stream.progress;
    for (const part of pending.within(first, last)) {
      pending.remove(part.first, part.last);
      for (const set of accepted.values()) set.remove(part.first, part.last);
      stream.gaps = withGap(stream.gaps, { ...part, reason });
      for (const seq of this.#drop(stream, part)) {
        const known = this.#options.truth.records.get(this.#id(stream, seq));
        if (known) known.isGivenUp = true;
      }
    }
    for (const [provider, set] of accepted) if (set.size === 0) accepted.delete(provider);
  }

  #drop(stream: DiskStream, { first, last }: SeqRange): number[] {
    const seqs: number[] = [];
    for (let seq = first; seq <= last; seq += 1) {
      const row = stream.rows.get(seq);
      if (!row) continue;
      stream.rows.delete(seq);
      stream.bytes -= recordBytes(row);
      seqs.push(seq);
    }
    return seqs;
  }

  #freed(stream: DiskStream, seq: number): void {
    const { truth, copiesOf } = this.#options;
    truth.freed(this.#id(stream, seq), stream.name, copiesOf(stream.name));
  }

  #waitingBytes(): number {
    return this.#appends.reduce((sum, { size }) => sum + size, 0);
  }

  #usedBytes(): number {
    return this.#options.disk.streams.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #room(): Room {
    const { disk, limits } = this.#options;
    const priorities = disk.streams
      .filter(({ bytes, name }) => bytes > 0 && limitsOf(limits, name).whenFull === 'evict')
      .map(({ name }) => limitsOf(limits, name).priority);
    const lowestPriority = priorities.length > 0 ? Math.min(...priorities) : null;
    return { usedBytes: this.#usedBytes(), lowestPriority, streamBytes: {} };
  }

  #id({ epoch, name }: DiskStream, seq: number): string {
    return `${this.#options.gateway}/${epoch}/${name}/${seq}`;
  }
}

function sameGap(a: StreamGap, b: StreamGap): boolean {
  return a.epoch === b.epoch && a.stream === b.stream && a.first === b.first && a.last === b.last;
}
