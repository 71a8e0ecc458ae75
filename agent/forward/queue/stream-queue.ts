/**
 * What one (epoch, stream) still has to deliver, as interval sets: no row is touched to know what goes next.
 *
 *   owed      rows that fewer than `copies` providers hold (I3)
 *   accepted  per provider, which of the owed rows it holds already (only when more than one copy is asked)
 *   reserved  rows in an envelope that is being built or is under way
 *   kept      rows that enough providers hold, and that wait for the router's receipt (in a stream that asks
 *             for it)
 *   avoided   per provider, which of the owed rows it took and did not deliver: they go through another, for
 *             a while
 *   waited    rows up to here are the backlog lane, the rows above it the live lane
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Gap, SeqRange } from '../../../shared/record.ts';
import { withGap, withoutRange } from '../../store/file/gaps.ts';
import type { Lane } from './lanes.ts';
import { Outstanding, within } from './outstanding.ts';
import { cut, type RefusedFor, RefusedRows } from './refused-rows.ts';
import { UnconfirmedGaps } from './unconfirmed-gaps.ts';

/** The next rows to send: one run whose rows are all held by the same providers. */
export interface Run extends SeqRange {
  acceptedBy: ReadonlySet<string>;
  /** Providers that took them and did not deliver; absent when there are none. */
  avoid?: ReadonlySet<string>;
  /** Providers that never take them; absent when there are none. */
  unfit?: ReadonlySet<string>;
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

/**
 * Runs looked at in one search. Rows that wait for one provider must not hide the rows behind them, so it is
 * large (I10).
 */
const RUNS_SEARCHED_MAX = 1000;
/** Commits remembered one by one; beyond that the oldest two count as one, as old as the older (I10). */
const ARRIVALS_MAX = 256;

export class StreamQueue {
  readonly epoch: string;
  readonly stream: string;
  readonly #owed: IntervalSet;
  readonly #accepted: Map<string, IntervalSet>;
  readonly #reserved = IntervalSet.empty();
  readonly #kept = IntervalSet.empty();
  readonly #avoided = new Map<string, { rows: IntervalSet; untilMs: number }>();
  readonly #refused = new RefusedRows();
  /** What the newest receipt covers. */
  #covered = IntervalSet.empty();
  readonly outstanding = new Outstanding();
  readonly unconfirmed = new UnconfirmedGaps();
  #arrivals: Arrival[] = [];
  /**
   * Rows up to here have waited already (an outage, a restart): they are due at once, in the backlog lane.
   */
  #waitedTo: number;
  /** The highest row that was ever durable here. */
  #committedTo: number;
  gaps: Gap[];
  sealedAt: number | null;
  /** An envelope with nothing but gaps or the end of the epoch is under way. */
  announcing: boolean = false;
  /** An envelope with gaps was refused: they travel alone, so that no record suffers for them. */
  gapsAlone: boolean = false;

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

  /** Rows that wait for a receipt only. */
  get kept(): number {
    return this.#kept.size;
  }

  /** Nothing left to deliver, nor under way, nor to be confirmed. */
  get idle(): boolean {
    const waits = this.#kept.size > 0 || !this.unconfirmed.isEmpty;
    return this.#owed.size === 0 && this.gaps.length === 0 && this.sealedAt === null && !waits;
  }

  /**
   * Gaps or the end of the epoch wait for an envelope of their own: there are no rows that they could travel
   * with.
   */
  get announces(): boolean {
    const isFree = this.gapsAlone || this.#owed.size === 0;
    return !this.announcing && isFree && (this.gaps.length > 0 || this.sealedAt !== null);
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

  /**
   * The store was reopened: takes over the end of the epoch, and rows of the failed commit that reached the
   * disk after all.
   */
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
    for (const [provider, { untilMs }] of this.#avoided) if (nowMs >= untilMs) this.#avoided.delete(provider);
    for (const { last, atMs } of this.#arrivals) {
      if (nowMs - atMs <= liveMs) return;
      this.#waitedTo = Math.max(this.#waitedTo, last);
    }
  }

  laneOf(seq: number): Lane {
    return seq <= this.#waitedTo ? 'backlog' : 'live';
  }

  /**
   * Whether a run is worth an envelope now: it has waited out something, enough bytes are there, or its
   * linger is over.
   */
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

  /**
   * The next runs of a lane to send, lowest seq first, each at most `rowsMax` long, one per set of holders.
   */
  *runs(lane: Lane, rowsMax: number): Generator<Run> {
    const seen = new Set<string>();
    let searched = 0;
    for (const run of this.#split(this.#free(lane))) {
      const { acceptedBy, avoid = [], unfit = [] } = run;
      const holders = [...acceptedBy, '', ...avoid, '', ...unfit].join(' ');
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

  /** A provider refused an envelope with these rows for good: what is refused is in one half, or in both. */
  halve(range: SeqRange): void {
    this.#refused.halve(range);
  }

  /** A provider never takes this row. */
  unfit(provider: string, seq: number, why: RefusedFor): void {
    this.#refused.unfit(provider, seq, why);
  }

  /** Why no provider takes the row. */
  refusedFor(seq: number): RefusedFor {
    return this.#refused.reasonOf(seq);
  }

  /** Ends a reservation. Rows not accepted by enough providers are due again at once. */
  release(first: number, last: number): void {
    this.#reserved.remove(first, last);
    this.#waitedTo = Math.max(this.#waitedTo, this.#owed.within(first, last).at(-1)?.last ?? 0);
  }

  /**
   * The buffer gave these rows up: announced as a gap instead. One that is under way may still arrive; that
   * harms nothing.
   */
  gaveUp({ first, last, reason }: Gap): void {
    this.#forget({ first, last });
    this.outstanding.forget(IntervalSet.of([{ first, last }]));
    this.gaps = withGap(this.gaps, { first, last, reason });
  }

  /** The store was reopened and knows nothing of it: what was never written is gone. */
  vanished(): void {
    const rows = this.#owed.union(this.#kept);
    for (const range of rows.ranges()) this.gaveUp({ ...range, reason: 'corruption' });
    this.sealedAt ??= this.#committedTo;
  }

  /** A gap was delivered; it may have grown since. */
  gapDelivered(range: SeqRange): void {
    this.gaps = withoutRange(this.gaps, range);
  }

  /** Which of these are still to be sent: others may be gone from the buffer. */
  owedOf({ first, last }: SeqRange): SeqRange[] {
    return this.#owed.within(first, last);
  }

  /**
   * A provider holds `first..last`; rows that now have their copies are no longer owed, but kept
   * `untilReceipt`.
   */
  accepted(provider: string, first: number, last: number, copies: number, untilReceipt = false): void {
    const own = this.#accepted.get(provider) ?? IntervalSet.empty();
    this.#accepted.set(provider, own);
    const owed = this.#owed.within(first, last);
    for (const part of owed) own.add(part.first, part.last);
    for (const run of this.#split(owed)) {
      if (run.acceptedBy.size < copies) continue;
      if (!untilReceipt) this.#forget(run);
      else this.#keep(run);
    }
  }

  /**
   * A receipt covers these; null: as before, but more was accepted since. Returns the rows that are free now
   * (I3): those that have their copies, and where one is enough also those of which it is not known who took
   * them.
   */
  received(covered: IntervalSet | null, copies: number): SeqRange[] {
    this.#covered = covered ?? this.#covered;
    const rows = copies <= 1 ? this.#owed.union(this.#kept) : this.#kept;
    const free = within(rows, this.#covered);
    for (const range of free) this.#forget(range);
    return free;
  }

  /**
   * A provider took these and they did not arrive: they are owed again, through others until `untilMs`.
   * Returns how many rows.
   */
  doubt(provider: string, { first, last }: SeqRange, untilMs: number): number {
    const rows = this.#owed.union(this.#kept).within(first, last);
    const avoided = this.#avoided.get(provider) ?? { rows: IntervalSet.empty(), untilMs };
    if (rows.length > 0) this.#avoided.set(provider, { ...avoided, untilMs });
    for (const part of rows) {
      this.#kept.remove(part.first, part.last);
      this.#owed.add(part.first, part.last);
      this.#accepted.get(provider)?.remove(part.first, part.last);
      avoided.rows.add(part.first, part.last);
    }
    this.#waitedTo = Math.max(this.#waitedTo, rows.at(-1)?.last ?? 0);
    return rows.reduce((sum, part) => sum + part.last - part.first + 1, 0);
  }

  /**
   * Rows that have their copies. Who is to be avoided is remembered, for the case that they do not arrive
   * either.
   */
  #keep({ first, last }: SeqRange): void {
    this.#owed.remove(first, last);
    this.#kept.add(first, last);
    for (const set of this.#accepted.values()) set.remove(first, last);
  }

  /** Rows that are neither owed nor kept any more. */
  #forget({ first, last }: SeqRange): void {
    this.#owed.remove(first, last);
    this.#kept.remove(first, last);
    for (const set of this.#accepted.values()) set.remove(first, last);
    for (const { rows } of this.#avoided.values()) rows.remove(first, last);
    this.#refused.forget({ first, last });
  }

  /** Owed rows of a lane that are in no envelope, ascending. */
  *#free(lane: Lane): Generator<SeqRange> {
    const [from, to] = lane === 'backlog' ? [1, this.#waitedTo] : [this.#waitedTo + 1, this.#committedTo];
    for (const owed of this.#owed.within(from, to)) yield* this.#reserved.missing(owed.first, owed.last);
  }

  /** Cuts ranges where the set of holders, or of those to avoid, changes. */
  *#split(ranges: Iterable<SeqRange>): Generator<Run> {
    for (const range of ranges) {
      let first = range.first;
      while (first <= range.last) {
        const acceptedBy = new Set<string>();
        const avoid = new Set<string>();
        let last = this.#refused.runEnd(first, range.last);
        for (const [provider, set] of this.#accepted) {
          last = cut(set, first, last);
          if (set.has(first)) acceptedBy.add(provider);
        }
        for (const [provider, { rows }] of this.#avoided) {
          last = cut(rows, first, last);
          if (rows.has(first)) avoid.add(provider);
        }
        const { unfit, last: end } = this.#refused.by(first, last);
        last = end;
        yield { first, last, acceptedBy, ...(avoid.size > 0 && { avoid }), ...(unfit.size > 0 && { unfit }) };
        first = last + 1;
      }
    }
  }
}
