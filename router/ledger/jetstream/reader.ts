/** Records by offset: the commit that gave the offset, then the arrivals it names. */
import type { TelemetryRecord } from '../../../shared/record.ts';
import { wallTimeOf } from '../rules/boot-clocks.ts';
import type { LedgerRecord } from '../types.ts';
import type { Arrival } from './arrival-format.ts';
import { type ArrivalStore, recordIn } from './arrivals.ts';
import type { HeldVersions } from './held.ts';
import { type Commit, type CommitEntry, recordsOf } from './log/commit-format.ts';
import type { CommitLog } from './log/log.ts';
import type { States } from './log/states.ts';
import type { Names } from './names.ts';
import { isAt, seqsOf } from './removal.ts';

/** A page ends after this many payload bytes, whatever its limit (I10). */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

interface Positioned {
  seq: number;
  commit: Commit;
}

/** A part of an entry: `count` of its records, after the first `skip`; the first one has `offset`. */
interface Slice {
  entry: CommitEntry;
  offset: number;
  skip: number;
  count: number;
}

/** A record in its arrival, with its offset. */
interface Found {
  arrival: Arrival;
  record: TelemetryRecord;
  offset: number;
}

export class OffsetReader {
  readonly #log: CommitLog;
  readonly #states: States;
  readonly #arrivals: ArrivalStore;
  readonly #held: HeldVersions;
  readonly #names: Names;
  readonly #catchUp: () => Promise<void>;
  /** The end of the last page: the next page usually begins there. */
  #last: { offset: number; seq: number } = { offset: 0, seq: 1 };

  constructor(parts: {
    log: CommitLog;
    states: States;
    arrivals: ArrivalStore;
    held: HeldVersions;
    names: Names;
    catchUp: () => Promise<void>;
  }) {
    this.#log = parts.log;
    this.#states = parts.states;
    this.#arrivals = parts.arrivals;
    this.#held = parts.held;
    this.#names = parts.names;
    this.#catchUp = parts.catchUp;
  }

  /**
   * Records with offset > `after`, ascending. Empty only at the end of the log, even where all of a page's
   * records are gone.
   */
  async read(after: number, limit: number): Promise<LedgerRecord[]> {
    for (let from = after; ; ) {
      const slices = await this.#slices(from, limit);
      if (slices.length === 0) return [];
      const pages = await Promise.all(slices.map((slice) => this.#records(slice)));
      const records = pages.flat();
      if (records.length > 0) return records;
      from = slices.reduce((last, { offset, count }) => Math.max(last, offset + count - 1), from);
    }
  }

  /** The slices to read for a page after `after`. */
  async #slices(after: number, limit: number): Promise<Slice[]> {
    const slices: Slice[] = [];
    let bytes = 0;
    let count = 0;
    for (let found = await this.#find(after); found !== null; ) {
      let offset = found.commit.offset + 1;
      for (const entry of found.commit.entries) {
        const { size } = entry.fresh;
        const skip = Math.max(0, after + 1 - offset);
        if (skip < size && count < limit && bytes < PAGE_BYTES_MAX) {
          const share = entry.storedBytes / size;
          const fit = Math.max(1, Math.ceil((PAGE_BYTES_MAX - bytes) / Math.max(1, share)));
          const taken = Math.min(size - skip, limit - count, fit);
          slices.push({ entry, offset: offset + skip, skip, count: taken });
          bytes += taken * share;
          count += taken;
          this.#last = { offset: offset + skip + taken - 1, seq: found.seq };
          if (taken < size - skip) return slices;
        }
        offset += size;
      }
      if (count >= limit || bytes >= PAGE_BYTES_MAX) break;
      found = await this.#log.at(found.seq + 1);
    }
    return slices;
  }

  /**
   * The commit that assigned the offset after `after`, or the first one behind it; null at the end of the
   * log.
   */
  async #find(after: number): Promise<Positioned | null> {
    if (after === this.#last.offset) {
      const next = await this.#log.at(this.#last.seq);
      if (next === null || after < endOf(next)) return next;
      return this.#log.at(next.seq + 1);
    }
    let low = 1;
    let high = this.#log.head.seq + 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = await this.#log.at(middle);
      if (found === null || endOf(found) > after) high = middle;
      else low = found.seq + 1;
    }
    return this.#log.at(low);
  }

  async #records(slice: Slice): Promise<LedgerRecord[]> {
    const found = await this.#found(slice);
    const { gateway, epoch, stream } = slice.entry;
    return Promise.all(
      found.map(async ({ arrival, offset, record: { seq, device, topic, payload, monoMs } }) => {
        const { source, receivedWallMs, clock } = arrival;
        const bootOffsetMs =
          clock.quality === 'unsynchronised' ? await this.#bootOffsetMs(gateway, clock.bootId) : null;
        return {
          gateway,
          epoch,
          stream,
          offset,
          seq,
          device,
          topic,
          payload,
          bootId: clock.bootId,
          monoMs,
          ...wallTimeOf(monoMs, clock.offsetMs, clock.quality, bootOffsetMs),
          source,
          receivedWallMs,
        };
      }),
    );
  }

  /**
   * When the entry's arrival is gone, its remaining records were moved: the log names their new place, once
   * it is read to its end.
   */
  async #found(slice: Slice): Promise<Found[]> {
    const { entry, offset, skip, count } = slice;
    if (await this.#hasLeft(entry)) return [];
    const arrival = await this.#arrivals.get(entry.parts);
    if (arrival === null) {
      await this.#catchUp();
      return this.#moved(slice);
    }
    const records = arrival.records.slice(skip, skip + count);
    return this.#standing(
      entry,
      records.map((record, i) => ({ arrival, record, offset: offset + i })),
    );
  }

  /** Whether the whole entry left by age or size: then nothing is looked up. */
  async #hasLeft(entry: CommitEntry): Promise<boolean> {
    const item = await this.#states.stream(entry);
    const retention = item?.state.withdrawn.retention;
    if (!retention || retention.size === 0) return false;
    return entry.fresh.difference(retention).size === 0;
  }

  async #moved({ entry, offset, skip, count }: Slice): Promise<Found[]> {
    const seqs = seqsOf(entry.fresh).slice(skip, skip + count);
    const places = await this.#held.places(seqs.map((seq) => ({ key: entry, seq })));
    const found = await Promise.all(
      seqs.map(async (seq, i): Promise<Found[]> => {
        const place = places[i];
        if (!place || !isAt(place, seq, offset + i)) return [];
        const arrival = await this.#arrivals.get(place.parts);
        const record = arrival && recordIn(arrival, seq);
        return record ? [{ arrival, record, offset: offset + i }] : [];
      }),
    );
    return this.#standing(entry, found.flat());
  }

  /** Without the records that were replaced, put into quarantine or removed since. */
  async #standing(entry: CommitEntry, found: Found[]): Promise<Found[]> {
    const item = await this.#states.stream(entry);
    if (!item) return found;
    const { quarantine, retention, erasure } = item.state.withdrawn;
    const kept = quarantine.size === 0 ? found : found.filter(({ record }) => !quarantine.has(record.seq));
    if (item.replaced.size + retention.size + erasure.size === 0) return kept;
    const places = await this.#held.places(kept.map(({ record: { seq } }) => ({ key: entry, seq })));
    return kept.filter(({ record: { seq }, offset }, n) => {
      const mayBeGone = item.replaced.has(seq) || retention.has(seq) || erasure.has(seq);
      const place = places[n];
      return !mayBeGone || (place ? isAt(place, seq, offset) : false);
    });
  }

  async #bootOffsetMs(gateway: string, bootId: string): Promise<number | null> {
    const subject = this.#names.gateway(gateway);
    const item = (await this.#states.gateways.load([subject])).get(subject);
    return item?.bootOffsetMs.get(bootId) ?? null;
  }
}

function endOf({ commit }: Positioned): number {
  return commit.offset + recordsOf(commit);
}
