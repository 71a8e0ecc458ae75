/**
 * Reads the ledger for a feed with `hold_back`. Memory holds the ids of held records, but never more records
 * than one page of the ledger and one batch (I10): a held record is read again when its turn comes.
 *
 * After a start the reader reads every record that was not delivered, once, before it delivers any. Otherwise
 * it could not tell a seq that comes later in the ledger from a missing one.
 */
import type { Clock } from '../../shared/clock.ts';
import { IntervalSet } from '../../shared/interval-set.ts';
import type { StreamKey } from '../../shared/record.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FeedPosition, LedgerRecord, StreamCompleteness } from '../ledger/types.ts';
import { HoldBack, type HoldBackLimits } from './hold-back.ts';
import type { FeedReader } from './reader.ts';

type Read = Pick<Ledger, 'read' | 'completeness' | 'survey'>;

export interface HoldBackOptions {
  ledger: Read;
  clock: Clock;
  limits: HoldBackLimits;
  /** Ends the opening, which may read many records. */
  signal: AbortSignal;
}

/** How often the reader asks for given-up ranges, and for how many gateways at a time. */
const GAPS_PERIOD_MS = 1000;
const GAPS_GATEWAYS_MAX = 50;
const PAGE_RECORDS = 500;
/** One read covers offsets this close to each other: records of other streams lie between those of one. */
const SPAN_RECORDS = 64;
/** Payload bytes of one batch, like those of one page of the ledger. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;

export async function openHoldBackReader(
  options: HoldBackOptions,
  position: FeedPosition,
): Promise<FeedReader> {
  const order = new HoldBack(options.limits, position);
  if (position.offset > 0 || position.progress.byteLength > 0) await recall(order, options, position.offset);
  return new HoldBackReader(order, options);
}

class HoldBackReader implements FeedReader {
  readonly #order: HoldBack;
  readonly #ledger: Read;
  readonly #clock: Clock;
  #batch: readonly number[] = [];
  /** The last page read. */
  #page: readonly LedgerRecord[] = [];
  #gapsAskedMs = Number.NEGATIVE_INFINITY;
  #gapsTurn = 0;

  constructor(order: HoldBack, { ledger, clock }: HoldBackOptions) {
    this.#order = order;
    this.#ledger = ledger;
    this.#clock = clock;
  }

  async next(limit: number): Promise<LedgerRecord[]> {
    for (;;) {
      await this.#endWaits();
      if (this.#order.ready.length > 0) {
        const records = await this.#load(limit);
        if (records.length > 0) return records;
        continue;
      }
      this.#batch = [];
      this.#page = await this.#ledger.read(this.#order.scanned, limit);
      if (this.#page.length === 0) return [];
      for (const record of this.#page) this.#order.look(record, this.#clock.monoMs());
    }
  }

  get held(): number {
    return this.#order.heldCount;
  }

  after(count: number): FeedPosition {
    return this.#order.after(this.#batch.slice(0, count));
  }

  handed(count: number): void {
    this.#order.handed(count);
    this.#batch = this.#batch.slice(count);
  }

  async #endWaits(): Promise<void> {
    const nowMs = this.#clock.monoMs();
    this.#order.expire(nowMs);
    if (this.#order.heldCount === 0 || nowMs - this.#gapsAskedMs < GAPS_PERIOD_MS) return;
    this.#gapsAskedMs = nowMs;
    for (const gateway of this.#someGateways()) {
      for (const stream of await this.#ledger.completeness(gateway)) {
        if (stream.gaps.length > 0) this.#order.givenUp(stream, stream.gaps);
      }
    }
  }

  /** Gateways with held records, in turn. */
  #someGateways(): string[] {
    const waiting = [...new Set(this.#order.waiting().map(({ gateway }) => gateway))];
    const from = this.#gapsTurn % waiting.length;
    this.#gapsTurn = from + GAPS_GATEWAYS_MAX;
    return [...waiting.slice(from), ...waiting.slice(0, from)].slice(0, GAPS_GATEWAYS_MAX);
  }

  /** The records at the first ready offsets. A record that has left the ledger counts as delivered. */
  async #load(limit: number): Promise<LedgerRecord[]> {
    const wanted = this.#order.ready.slice(0, limit);
    const found = new Found(wanted);
    found.add(this.#page);
    const batch: LedgerRecord[] = [];
    for (const offset of wanted) {
      if (!found.records.has(offset)) {
        if (batch.length > 0 && found.bytes >= BATCH_BYTES_MAX) break;
        found.add(await this.#ledger.read(offset - 1, SPAN_RECORDS));
      }
      const record = found.records.get(offset);
      // The batch ends before one that is gone, so that the next begins with it.
      if (!record) break;
      batch.push(record);
    }
    if (batch.length === 0) this.#order.handed(1);
    this.#batch = wanted.slice(0, batch.length);
    return batch;
  }
}

/** Records read at the wanted offsets; others are dropped. */
class Found {
  readonly records = new Map<number, LedgerRecord>();
  readonly #wanted: ReadonlySet<number>;
  bytes = 0;

  constructor(wanted: readonly number[]) {
    this.#wanted = new Set(wanted);
  }

  add(records: readonly LedgerRecord[]): void {
    for (const record of records) {
      if (!this.#wanted.has(record.offset) || this.records.has(record.offset)) continue;
      this.records.set(record.offset, record);
      this.bytes += record.payload.byteLength;
    }
  }
}

/**
 * Restores the order after a start: looks at the held records again, and finds how far each stream was
 * delivered, which is the highest seq in the ledger that is not still to be delivered.
 */
async function recall(
  order: HoldBack,
  { ledger, clock, signal }: HoldBackOptions,
  offset: number,
): Promise<void> {
  // The survey comes before the reading, so that every seq it counts and that was not delivered is read
  // below.
  const { streams } = await ledger.survey(() => new Known());
  const open = new Map<string, IntervalSet>();
  const held: Omit<LedgerRecord, 'payload'>[] = [];
  const { scanned } = order;
  for (let from = offset; ; ) {
    signal.throwIfAborted();
    const page = await ledger.read(from, PAGE_RECORDS);
    const last = page.at(-1);
    if (!last) break;
    from = last.offset;
    for (const { payload: _, ...record } of page) {
      if (record.offset <= scanned && !order.isOpen(record.offset)) continue;
      seqsOf(open, record).add(record.seq);
      if (record.offset <= scanned) held.push(record);
    }
  }
  order.stillThere(held.map((record) => record.offset));
  for (const { key, there } of streams) {
    order.passedBefore(key, there.difference(seqsOf(open, key)).max);
  }
  for (const record of held) order.look(record, clock.monoMs());
}

function seqsOf(
  sets: Map<string, IntervalSet>,
  { gateway, epoch, stream }: Pick<LedgerRecord, 'gateway' | 'epoch' | 'stream'>,
): IntervalSet {
  const name = JSON.stringify([gateway, epoch, stream]);
  const set = sets.get(name) ?? IntervalSet.empty();
  sets.set(name, set);
  return set;
}

/** The seqs of each stream in the ledger, mostly one interval; nothing else of its state is kept. */
class Known {
  readonly streams: { key: StreamKey; there: IntervalSet }[] = [];

  add(stream: StreamCompleteness): void {
    const { gateway, epoch, stream: name } = stream;
    this.streams.push({ key: { gateway, epoch, stream: name }, there: thereOf(stream) });
  }
}

/** The seqs that are in the ledger and were not given up. */
function thereOf({ highest, missing, missingCount, gaps }: StreamCompleteness): IntervalSet {
  if (highest === 0) return IntervalSet.empty();
  const listed = missing.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  // Where not all ranges are listed, nothing is known beyond the last one, and later records are held for a
  // while.
  const known = listed === missingCount ? highest : (missing.at(-1)?.last ?? highest);
  const there = IntervalSet.of([{ first: 1, last: known }]);
  for (const { first, last } of [...missing, ...gaps]) there.remove(first, last);
  return there;
}
