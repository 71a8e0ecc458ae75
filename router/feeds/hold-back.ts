/**
 * The order of `hold_back`, as a pure state without clock or ledger (I11): a record is delivered once every
 * lower seq of its stream was delivered, was given up, or was waited for long enough.
 *
 * The state looks at records in the order of offsets and keeps only their ids. The `open` set has the offsets
 * that were looked at and not delivered, held or ready. A position is that set and the highest offset looked
 * at, so that a crash skips no record and repeats none that was delivered around a held one.
 */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { SeqRange, StreamKey } from '../../shared/record.ts';
import type { FeedPosition } from '../ledger/types.ts';

export interface HoldBackLimits {
  /** Most records that are held at a time; beyond, the stream that has waited longest is released (I10). */
  recordsMax: number;
  /** Longest time that a record is held. */
  maxWaitMs: number;
}

interface Held {
  offset: number;
  sinceMs: number;
}

/** A stream with held records. */
interface Waiting {
  readonly key: StreamKey;
  /** By seq, in the order of arrival. */
  readonly held: Map<number, Held>;
}

export class HoldBack {
  readonly #limits: HoldBackLimits;
  /** By stream: every seq up to here was delivered, given up, or waited for. Most streams have only this. */
  readonly #passed = new Map<string, number>();
  /** The stream that has waited longest comes first. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #open: IntervalSet;
  #scanned: number;
  #heldCount = 0;
  #ready: number[] = [];

  constructor(limits: HoldBackLimits, position: FeedPosition) {
    this.#limits = limits;
    const { open, scanned } = decodePosition(position);
    this.#open = open;
    this.#scanned = scanned;
  }

  /** The highest offset that was looked at. */
  get scanned(): number {
    return this.#scanned;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** Offsets to deliver, in this order. */
  get ready(): readonly number[] {
    return this.#ready;
  }

  /** Streams with held records. */
  waiting(): StreamKey[] {
    return Array.from(this.#waiting.values(), ({ key }) => key);
  }

  /** Whether a record was looked at before the restart and is still to be delivered. */
  isOpen(offset: number): boolean {
    return this.#open.has(offset);
  }

  /** Takes the open offsets that the ledger still has; the others have left it. */
  stillThere(offsets: readonly number[]): void {
    for (const { first, last } of this.#open.difference(IntervalSet.of(offsets.map(single))).ranges()) {
      this.#open.remove(first, last);
    }
  }

  /** Takes, before the first {@link look}, the seq up to which a stream was delivered before the restart. */
  passedBefore(key: StreamKey, seq: number): void {
    if (seq > 0) this.#passed.set(nameOf(key), seq);
  }

  /** Takes the next record of the ledger. A record from before the restart may be looked at again. */
  look(record: StreamKey & { seq: number; offset: number }, nowMs: number): void {
    const { seq, offset } = record;
    this.#scanned = Math.max(this.#scanned, offset);
    this.#open.add(offset);
    const name = nameOf(record);
    if (seq <= this.#passedOf(name)) {
      // Late: the records it should have preceded were delivered.
      this.#ready.push(offset);
    } else {
      const { gateway, epoch, stream } = record;
      const waiting = this.#waiting.get(name) ?? { key: { gateway, epoch, stream }, held: new Map() };
      waiting.held.set(seq, { offset, sinceMs: nowMs });
      this.#heldCount += 1;
      this.#waiting.set(name, waiting);
      this.#release(name, this.#passedOf(name));
    }
    if (this.#heldCount > this.#limits.recordsMax) this.#giveWay();
  }

  /** Takes ranges that the gateway gave up: the state does not wait for them. */
  givenUp(key: StreamKey, ranges: Iterable<SeqRange>): void {
    const name = nameOf(key);
    const set = IntervalSet.of(ranges);
    let passed = -1;
    while (passed !== this.#passedOf(name)) {
      passed = this.#passedOf(name);
      this.#release(name, set.firstGap(passed + 1) - 1);
    }
  }

  /** Releases records that have waited long enough. */
  expire(nowMs: number): void {
    for (const [name, { held }] of [...this.#waiting]) {
      let passed = 0;
      for (const [seq, { sinceMs }] of held) {
        if (nowMs - sinceMs < this.#limits.maxWaitMs) break;
        passed = Math.max(passed, seq);
      }
      if (passed > 0) this.#release(name, passed);
    }
  }

  /** The position once these offsets are delivered. */
  after(offsets: readonly number[]): FeedPosition {
    const open = this.#open.clone();
    for (const offset of offsets) open.remove(offset);
    return encodePosition(open, this.#scanned);
  }

  /** The first `count` of {@link ready} were delivered, or have left the ledger. */
  handed(count: number): void {
    for (const offset of this.#ready.slice(0, count)) this.#open.remove(offset);
    this.#ready = this.#ready.slice(count);
  }

  #giveWay(): void {
    const [first] = this.#waiting;
    if (!first) return;
    const [name, { held }] = first;
    let lowest = Number.POSITIVE_INFINITY;
    for (const seq of held.keys()) lowest = Math.min(lowest, seq);
    this.#release(name, lowest);
  }

  /**
   * Waits for no seq up to `upTo`; held records up to there, and those that follow without a gap, are ready.
   */
  #release(name: string, upTo: number): void {
    let passed = this.#passedOf(name);
    const held = this.#waiting.get(name)?.held ?? new Map<number, Held>();
    const out: number[] = [];
    if (upTo > passed) {
      for (const seq of held.keys()) if (seq <= upTo) out.push(seq);
      out.sort((a, b) => a - b);
      passed = upTo;
    }
    while (held.has(passed + 1)) {
      passed += 1;
      out.push(passed);
    }
    for (const seq of out) {
      const one = held.get(seq);
      if (one) this.#ready.push(one.offset);
      held.delete(seq);
    }
    this.#heldCount -= out.length;
    if (passed > 0) this.#passed.set(name, passed);
    if (held.size === 0) this.#waiting.delete(name);
  }

  #passedOf(name: string): number {
    return this.#passed.get(name) ?? 0;
  }
}

function single(value: number): SeqRange {
  return { first: value, last: value };
}

/** Names may hold any character: with a plain separator two keys could be the same text. */
function nameOf({ gateway, epoch, stream }: StreamKey): string {
  return JSON.stringify([gateway, epoch, stream]);
}

/** `progress`: the open offsets and, last, the highest offset looked at plus one; empty when none is open. */
function encodePosition(open: IntervalSet, scanned: number): FeedPosition {
  if (open.size === 0) return { offset: scanned, progress: new Uint8Array() };
  const progress = open.clone();
  progress.add(scanned + 1);
  return { offset: open.min - 1, progress: progress.encode() };
}

/**
 * The position without one record that was looked at and not delivered; null where `offset` is none of these.
 */
export function withoutRecord(position: FeedPosition, offset: number): FeedPosition | null {
  const { open, scanned } = decodePosition(position);
  if (!open.has(offset)) return null;
  open.remove(offset);
  return encodePosition(open, scanned);
}

function decodePosition({ offset, progress }: FeedPosition): { open: IntervalSet; scanned: number } {
  if (progress.byteLength === 0) return { open: IntervalSet.empty(), scanned: offset };
  const open = IntervalSet.decode(progress);
  const scanned = open.max - 1;
  open.remove(open.max);
  return { open, scanned };
}
