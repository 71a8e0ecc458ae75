/**
 * The pending work of one (epoch, stream), as interval sets: finding the next rows touches no row.
 *
 *   owed      rows that fewer than `copies` providers hold (I3)
 *   accepted  by provider, the owed rows that it holds already (only with more than one copy)
 *   reserved  rows in an envelope that is being built or is under way
 *   kept      rows with all their copies that wait for the router's receipt (`until: receipt`)
 *   avoided   by provider, owed rows that it acknowledged and did not deliver: others get them for a while
 *   waited    rows up to this one are the backlog lane, the rows above it the live lane
 *
 * Pure: no clock, no I/O (I11).
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { Gap, SeqRange } from '../../../shared/record.ts';
import { withGap, withoutRange } from '../../store/file/gaps.ts';
import { Arrivals } from './arrivals.ts';
import { AvoidedRows } from './avoided-rows.ts';
import { CutRows } from './cut-rows.ts';
import type { Lane } from './lanes.ts';
import { Outstanding, within } from './outstanding.ts';
import { cut, type RefusedFor, RefusedRows } from './refused-rows.ts';
import { RowAges } from './row-ages.ts';
import { SlowRows } from './slow-rows.ts';
import { UnconfirmedGaps } from './unconfirmed-gaps.ts';

/** The next rows to send: one run whose rows are held by the same providers. */
export interface Run extends SeqRange {
  acceptedBy: ReadonlySet<string>;
  /** Providers that acknowledged the rows and did not deliver them; absent when there are none. */
  avoid?: ReadonlySet<string>;
  /** Providers that never take the rows; absent when there are none. */
  unfit?: ReadonlySet<string>;
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
 * Bound on the runs of one search (I10). It is large, because rows that wait for one provider must not hide
 * the rows behind them.
 */
const RUNS_SEARCHED_MAX = 1000;

export class StreamQueue {
  readonly epoch: string;
  readonly stream: string;
  readonly #owed: IntervalSet;
  readonly #accepted: Map<string, IntervalSet>;
  readonly #reserved = IntervalSet.empty();
  readonly #kept = IntervalSet.empty();
  readonly #avoided = new AvoidedRows();
  readonly #refused = new RefusedRows();
  readonly cuts = new CutRows();
  readonly slow = new SlowRows();
  /** The rows that the newest receipt covers. */
  #covered = IntervalSet.empty();
  readonly outstanding = new Outstanding();
  readonly unconfirmed = new UnconfirmedGaps();
  readonly #arrivals = new Arrivals();
  readonly #ages = new RowAges();
  /** Rows up to here were in the buffer when it was opened: it alone knows how old they are. */
  #foundTo: number;
  /**
   * Rows up to this one have waited already (an outage, a restart): they are due at once, in the backlog
   * lane.
   */
  #waitedTo: number;
  /** The highest row that was ever durable in this queue. */
  #committedTo: number;
  gaps: Gap[];
  sealedAt: number | null;
  /** Whether an envelope with only gaps or the end of the epoch is under way. */
  announcing: boolean = false;
  /** Whether an envelope with gaps was refused: gaps then travel alone, so that they delay no record. */
  gapsAlone: boolean = false;

  constructor(state: StreamQueueState) {
    this.epoch = state.epoch;
    this.stream = state.stream;
    this.#owed = state.pending.clone();
    this.#accepted = new Map([...state.accepted].map(([provider, set]) => [provider, set.clone()]));
    this.#waitedTo = state.pending.max;
    this.#committedTo = state.pending.max;
    this.#foundTo = state.pending.max;
    this.gaps = [...state.gaps];
    this.sealedAt = state.sealedAt;
  }

  /** Number of rows that still need a provider. */
  get owed(): number {
    return this.#owed.size;
  }

  /** Number of owed rows in the backlog lane. */
  get backlog(): number {
    if (this.#waitedTo === 0) return 0;
    const waited = this.#owed.within(1, this.#waitedTo);
    return waited.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  get reserved(): number {
    return this.#reserved.size;
  }

  /** Number of rows that only wait for a receipt. */
  get kept(): number {
    return this.#kept.size;
  }

  /** Whether nothing is to be delivered, under way, or to be confirmed. */
  get idle(): boolean {
    const waits = this.#kept.size > 0 || !this.unconfirmed.isEmpty;
    return this.#owed.size === 0 && this.gaps.length === 0 && this.sealedAt === null && !waits;
  }

  /** Whether gaps or the end of the epoch wait for an envelope of their own, without rows to travel with. */
  get announces(): boolean {
    const isFree = this.gapsAlone || this.#owed.size === 0;
    return !this.announcing && isFree && (this.gaps.length > 0 || this.sealedAt !== null);
  }

  /** The rows became durable. */
  committed(first: number, last: number, bytes: number, atMs: number): void {
    this.#owed.add(first, last);
    this.#committedTo = Math.max(this.#committedTo, last);
    this.#ages.forgetBefore(this.#oldestRow() ?? first);
    this.#ages.committed(first, atMs);
    this.#arrivals.committed(last, bytes, atMs);
  }

  /**
   * The store was reopened: takes over the end of the epoch, rows of the failed commit that did reach the
   * disk, and the gaps of rows that did not survive (I3). Returns the rows that the file still has to deliver
   * and that have their copies: it forgot the acceptance.
   */
  reopened(state: StreamQueueState): SeqRange[] {
    const waiting = this.#owed.union(this.#kept);
    for (const { first, last, reason } of state.gaps)
      for (const part of waiting.within(first, last)) this.gaveUp({ ...part, reason });
    // Neither there nor given up: a disk that lost a commit.
    for (const part of this.#owed.union(this.#kept).difference(state.pending).ranges())
      this.gaveUp({ ...part, reason: 'corruption' });
    const forgotten = IntervalSet.of(state.pending.within(1, this.#committedTo)).difference(waiting);
    for (const { first, last } of state.pending.within(this.#committedTo + 1, state.pending.max)) {
      this.#owed.add(first, last);
    }
    this.#committedTo = Math.max(this.#committedTo, state.pending.max);
    this.#foundTo = this.#committedTo;
    this.#waitedTo = this.#committedTo;
    this.sealedAt = state.sealedAt;
    return [...forgotten.ranges()];
  }

  /** Rows that waited for `liveMs` become backlog. */
  age(nowMs: number, liveMs: number): void {
    this.#avoided.expire(nowMs);
    this.#waitedTo = Math.max(this.#waitedTo, this.#arrivals.waitedTo(nowMs, liveMs));
  }

  laneOf(seq: number): Lane {
    return seq <= this.#waitedTo ? 'backlog' : 'live';
  }

  /** Whether a run is worth an envelope now: it is backlog, there are enough bytes, or its linger is over. */
  due(run: Run, nowMs: number, lingerMs: number, fullBytes: number): boolean {
    if (this.laneOf(run.first) === 'backlog') return true;
    return this.#arrivals.due(run.first, nowMs, lingerMs, fullBytes);
  }

  /**
   * Since when the oldest row that still needs a provider is in the buffer, under way or not, in monotonic
   * time of its epoch; null when none does, or {@link undatedRow} is it and nothing older is known.
   */
  oldestWaitingMs(): number | null {
    return this.#owed.size === 0 ? null : this.#ages.atMs(this.#owed.min);
  }

  /** The oldest row that still needs a provider, where only the buffer knows how old it is. */
  undatedRow(): number | null {
    const oldest = this.#owed.size === 0 ? null : this.#owed.min;
    if (oldest === null || this.#ages.isExact(oldest)) return null;
    return oldest <= this.#foundTo || this.#ages.atMs(oldest) === null ? oldest : null;
  }

  /** The buffer's answer. */
  dated(seq: number, atMs: number): void {
    this.#ages.found(seq, atMs);
  }

  /** The next runs of a lane, lowest seq first, each at most `rowsMax` long and with one set of holders. */
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

  /** The rows are being read, packed or sent: no other envelope takes them. */
  reserve(first: number, last: number): void {
    this.#reserved.add(first, last);
  }

  /** The rows of `taken` are in an envelope; `rest`, reserved with them, did not fit and waits on. */
  packed(taken: SeqRange, rest: SeqRange | null): void {
    this.#arrivals.taken(taken);
    if (rest) this.#reserved.remove(rest.first, rest.last);
  }

  /** A provider refused an envelope with these rows permanently: the cause is in one half or in both. */
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
   * The buffer gave these rows up; a gap announces them instead. A row under way may still arrive, which is
   * harmless.
   */
  gaveUp({ first, last, reason }: Gap): void {
    this.#forget({ first, last });
    this.#arrivals.forgetBefore(this.#owed.size > 0 ? this.#owed.min : null);
    this.outstanding.forget(IntervalSet.of([{ first, last }]));
    this.gaps = withGap(this.gaps, { first, last, reason });
  }

  /** The reopened store does not know this queue: its rows were never written. */
  vanished(): void {
    const rows = this.#owed.union(this.#kept);
    for (const range of rows.ranges()) this.gaveUp({ ...range, reason: 'corruption' });
    this.sealedAt ??= this.#committedTo;
  }

  /** A gap was delivered; it may have grown since. */
  gapDelivered(range: SeqRange): void {
    this.gaps = withoutRange(this.gaps, range);
  }

  /** The rows of the range that are still to be sent; others may have left the buffer. */
  owedOf({ first, last }: SeqRange): SeqRange[] {
    return this.#owed.within(first, last);
  }

  /**
   * A provider holds `first..last`. Rows that now have their copies are no longer owed; with `untilReceipt`
   * they are kept.
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

  /** The providers that hold owed rows, range by range. */
  holders(): Array<SeqRange & { provider: string }> {
    return [...this.#accepted].flatMap(([provider, set]) =>
      [...set.ranges()].map((range) => ({ provider, ...range })),
    );
  }

  /** Removes and returns the rows that have their copies and wait for a receipt. */
  takeKept(): SeqRange[] {
    const kept = [...this.#kept.ranges()];
    for (const range of kept) this.#forget(range);
    return kept;
  }

  /** The rows of these ranges that the buffer still holds. */
  rowsWithin(ranges: readonly SeqRange[]): SeqRange[] {
    if (ranges.length === 0) return [];
    const rows = this.#owed.union(this.#kept);
    return ranges.flatMap(({ first, last }) => rows.within(first, last));
  }

  /**
   * The ledger holds these rows, by the newest receipt or by an older one; null: the same receipt as before,
   * after more acceptances. Returns the rows that are free now (I3): those that have their copies, and, where
   * one copy is enough, also those whose provider is unknown.
   */
  received(covered: IntervalSet | null, copies: number, isNewest = true): SeqRange[] {
    const before = this.#covered;
    this.#covered = isNewest ? (covered ?? before) : before.union(covered ?? before);
    const rows = copies <= 1 ? this.#owed.union(this.#kept) : this.#kept;
    const free = within(rows, this.#covered);
    for (const range of free) this.#forget(range);
    return free;
  }

  /**
   * A provider acknowledged these rows and they did not arrive: they are owed again, and avoid it until
   * `untilMs`. Returns the number of rows.
   */
  doubt(provider: string, { first, last }: SeqRange, untilMs: number): number {
    const rows = this.#owed.union(this.#kept).within(first, last);
    for (const part of rows) {
      this.#kept.remove(part.first, part.last);
      this.#owed.add(part.first, part.last);
      this.#accepted.get(provider)?.remove(part.first, part.last);
      this.#avoided.add(provider, part, untilMs);
    }
    this.#waitedTo = Math.max(this.#waitedTo, rows.at(-1)?.last ?? 0);
    return rows.reduce((sum, part) => sum + part.last - part.first + 1, 0);
  }

  /**
   * Rows that have their copies. The providers to avoid are remembered, in case the rows do not arrive again.
   */
  #keep({ first, last }: SeqRange): void {
    this.#owed.remove(first, last);
    this.#kept.add(first, last);
    for (const set of this.#accepted.values()) set.remove(first, last);
  }

  /** Null when nothing is owed, nor kept: what is kept may be owed again. */
  #oldestRow(): number | null {
    const oldest = [this.#owed, this.#kept].filter(({ size }) => size > 0).map(({ min }) => min);
    return oldest.length > 0 ? Math.min(...oldest) : null;
  }

  /** Removes rows that are neither owed nor kept any more. */
  #forget({ first, last }: SeqRange): void {
    this.#owed.remove(first, last);
    this.#kept.remove(first, last);
    for (const set of this.#accepted.values()) set.remove(first, last);
    this.#avoided.forget({ first, last });
    this.#refused.forget({ first, last });
    this.cuts.forget({ first, last });
    this.slow.forget({ first, last });
  }

  /** Owed rows of a lane that are in no envelope, ascending. */
  *#free(lane: Lane): Generator<SeqRange> {
    const [from, to] = lane === 'backlog' ? [1, this.#waitedTo] : [this.#waitedTo + 1, this.#committedTo];
    for (const owed of this.#owed.within(from, to)) yield* this.#reserved.missing(owed.first, owed.last);
  }

  /** Splits ranges where the set of holders or of avoided providers changes. */
  *#split(ranges: Iterable<SeqRange>): Generator<Run> {
    for (const range of ranges) {
      let first = range.first;
      while (first <= range.last) {
        const acceptedBy = new Set<string>();
        let last = this.#refused.runEnd(first, range.last);
        for (const [provider, set] of this.#accepted) {
          last = cut(set, first, last);
          if (set.has(first)) acceptedBy.add(provider);
        }
        const avoided = this.#avoided.by(first, last);
        const refused = this.#refused.by(first, avoided.last);
        const [{ avoid }, { unfit }] = [avoided, refused];
        last = refused.last;
        yield { first, last, acceptedBy, ...(avoid.size > 0 && { avoid }), ...(unfit.size > 0 && { unfit }) };
        first = last + 1;
      }
    }
  }
}
