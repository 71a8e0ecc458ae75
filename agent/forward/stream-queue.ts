/**
 * What one (epoch, stream) still has to deliver, as interval sets: no row is touched to know what goes next.
 *
 *   owed      rows that fewer than `copies` providers hold (I3)
 *   accepted  per provider, which of the owed rows it holds already (only when more than one copy is asked)
 *   reserved  rows in an envelope that is being built or is under way
 *   waited    rows up to here are the backlog lane, the rows above it the live lane
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { Gap, SeqRange } from '../../shared/record.ts';
import { withGap, withoutRange } from '../store/gaps.ts';
import type { Lane } from './lanes.ts';

/** The next rows to send: one run whose rows are all held by the same providers. */
export interface Run extends SeqRange {
  acceptedBy: ReadonlySet<string>;
}

/** Rows committed together, until they are taken. */
interface Arrival {
  last: number;
  bytes: number;
  atMs: number;
}

export interface StreamQueueState {
  epoch: string;
  stream: string;
  pending: IntervalSet;
  accepted: ReadonlyMap<string, IntervalSet>;
  gaps: readonly Gap[];
  sealedAt: number | null;
}

/** Runs looked at in one search. Rows that wait for one provider must not hide the rows behind them, so it is large (I10). */
const RUNS_SEARCHED_MAX = 1000;
/** Commits remembered one by one; beyond that the oldest two count as one, as old as the older (I10). */
const ARRIVALS_MAX = 256;

export class StreamQueue {
  readonly epoch: string;
  readonly stream: string;
  readonly #owed: IntervalSet;
  readonly #accepted: Map<string, IntervalSet>;
  readonly #reserved = IntervalSet.empty();
  #arrivals: Arrival[] = [];
  /** Rows up to here have waited already (an outage, a restart): they are due at once, in the backlog lane. */
  #waitedTo: number;
  /** The highest row that was ever durable here. */
  #committedTo: number;
  gaps: Gap[];
  sealedAt: number | null;
  /** An envelope with nothing but gaps or the end of the epoch is under way. */
  announcing: boolean = false;

  constructor(state: StreamQueueState) {
    this.epoch = state.epoch;
    this.stream = state.stream;
    this.#owed = state.pending.clone();
    this.#accepted = new Map([...state.accepted].map(([provider, set]) => [provider, set.clone()]));
    this.#waitedTo = state.pending.max;
    this.#committedTo = state.pending.max;
    this.gaps = [...state.gaps];
    this.sealedAt = state.sealedAt;
  }

  /** Rows that still need a provider. */
  get owed(): number {
    return this.#owed.size;
  }

  /** Of these, the ones in the backlog lane. */
  get backlog(): number {
    if (this.#waitedTo === 0) return 0;
    const waited = this.#owed.within(1, this.#waitedTo);
    return waited.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  get reserved(): number {
    return this.#reserved.size;
  }

  /** Nothing left to deliver, nor under way. */
  get idle(): boolean {
    return this.#owed.size === 0 && this.gaps.length === 0 && this.sealedAt === null;
  }

  /** Gaps or the end of the epoch wait for an envelope of their own: there are no rows that they could travel with. */
  get announces(): boolean {
    return !this.announcing && this.#owed.size === 0 && (this.gaps.length > 0 || this.sealedAt !== null);
  }

  /** Rows became durable. */
  committed(first: number, last: number, bytes: number, atMs: number): void {
    this.#owed.add(first, last);
    this.#committedTo = Math.max(this.#committedTo, last);
    this.#arrivals.push({ last, bytes, atMs });
    if (this.#arrivals.length <= ARRIVALS_MAX) return;
    const [oldest, next] = this.#arrivals.splice(0, 2);
    if (!oldest || !next) return;
    this.#arrivals.unshift({ ...oldest, last: next.last, bytes: oldest.bytes + next.bytes });
  }

  /** The store was reopened: takes over the end of the epoch, and rows of the failed commit that reached the disk after all. */
  reopened(state: StreamQueueState): void {
    for (const { first, last } of state.pending.within(this.#committedTo + 1, state.pending.max)) {
      this.#owed.add(first, last);
    }
    this.#committedTo = Math.max(this.#committedTo, state.pending.max);
    this.#waitedTo = this.#committedTo;
    this.sealedAt = state.sealedAt;
  }

  /** Rows that nobody took for `liveMs` have become backlog. */
  age(nowMs: number, liveMs: number): void {
    for (const { last, atMs } of this.#arrivals) {
      if (nowMs - atMs <= liveMs) return;
      this.#waitedTo = Math.max(this.#waitedTo, last);
    }
  }

  laneOf(seq: number): Lane {
    return seq <= this.#waitedTo ? 'backlog' : 'live';
  }

  /** Whether a run is worth an envelope now: it has waited out something, enough bytes are there, or its linger is over. */
  due(run: Run, nowMs: number, lingerMs: number, fullBytes: number): boolean {
    if (this.laneOf(run.first) === 'backlog') return true;
    let isFirst = true;
    let bytes = 0;
    for (const arrival of this.#arrivals) {
      if (arrival.last < run.first) continue;
      if (isFirst && nowMs - arrival.atMs >= lingerMs) return true;
      isFirst = false;
      bytes += arrival.bytes;
      if (bytes >= fullBytes) return true;
    }
    return isFirst;
  }

  /** Monotonic time of the oldest commit not yet taken, null when none waits. */
  oldestWaitingMs(): number | null {
    return this.#arrivals[0]?.atMs ?? null;
  }

  /** The next runs of a lane to send, lowest seq first, each at most `rowsMax` long, one per set of holders. */
  *runs(lane: Lane, rowsMax: number): Generator<Run> {
    const seen = new Set<string>();
    let searched = 0;
    for (const run of this.#split(this.#free(lane))) {
      const holders = [...run.acceptedBy].sort().join(' ');
      if (!seen.has(holders)) yield { ...run, last: Math.min(run.last, run.first + rowsMax - 1) };
      seen.add(holders);
      searched += 1;
      if (searched === RUNS_SEARCHED_MAX) return;
    }
  }

  /** Rows are being read, packed or sent: no other envelope takes them. */
  reserve(first: number, last: number): void {
    this.#reserved.add(first, last);
  }

  /** The rows of `taken` went into an envelope; `rest`, reserved with them, did not fit and waits on. */
  packed(taken: SeqRange, rest: SeqRange | null): void {
    this.#arrivals = this.#arrivals.filter(({ last }) => last < taken.first || last > taken.last);
    if (rest) this.#reserved.remove(rest.first, rest.last);
  }

  /** Ends a reservation. Rows not accepted by enough providers are due again at once. */
  release(first: number, last: number): void {
    this.#reserved.remove(first, last);
    this.#waitedTo = Math.max(this.#waitedTo, this.#owed.within(first, last).at(-1)?.last ?? 0);
  }

  /** The buffer gave these rows up: announced as a gap instead. One that is under way may still arrive; that harms nothing. */
  gaveUp({ first, last, reason }: Gap): void {
    this.#forget({ first, last });
    this.gaps = withGap(this.gaps, { first, last, reason });
  }

  /** The store was reopened and knows nothing of it: what was never written is gone. */
  vanished(): void {
    for (const range of [...this.#owed.ranges()]) this.gaveUp({ ...range, reason: 'corruption' });
    this.sealedAt ??= this.#committedTo;
  }

  /** A gap was delivered; it may have grown since. */
  gapDelivered(range: SeqRange): void {
    this.gaps = withoutRange(this.gaps, range);
  }

  /** A provider holds `first..last`; rows that now have their copies are no longer owed. */
  accepted(provider: string, first: number, last: number, copies: number): void {
    const own = this.#accepted.get(provider) ?? IntervalSet.empty();
    this.#accepted.set(provider, own);
    const owed = this.#owed.within(first, last);
    for (const part of owed) own.add(part.first, part.last);
    for (const run of this.#split(owed)) {
      if (run.acceptedBy.size >= copies) this.#forget(run);
    }
  }

  /** Rows that are owed no more. */
  #forget({ first, last }: SeqRange): void {
    this.#owed.remove(first, last);
    for (const set of this.#accepted.values()) set.remove(first, last);
  }

  /** Owed rows of a lane that are in no envelope, ascending. */
  *#free(lane: Lane): Generator<SeqRange> {
    const [from, to] = lane === 'backlog' ? [1, this.#waitedTo] : [this.#waitedTo + 1, this.#committedTo];
    for (const owed of this.#owed.within(from, to)) yield* this.#reserved.missing(owed.first, owed.last);
  }

  /** Cuts ranges where the set of holders changes. */
  *#split(ranges: Iterable<SeqRange>): Generator<Run> {
    for (const range of ranges) {
      let first = range.first;
      while (first <= range.last) {
        const acceptedBy = new Set<string>();
        let last = range.last;
        for (const [provider, set] of this.#accepted) {
          if (set.has(first)) {
            acceptedBy.add(provider);
            last = Math.min(last, set.firstGap(first) - 1);
          } else {
            const [next] = set.within(first, last);
            if (next) last = Math.min(last, next.first - 1);
          }
        }
        yield { first, last, acceptedBy };
        first = last + 1;
      }
    }
  }
}
