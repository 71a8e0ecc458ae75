/** Records by offset: the commit that gave the offset, then the arrivals it names. */
import type { TelemetryRecord } from '../../../shared/record.ts';
import { wallTimeOf } from '../boot-clocks.ts';
import type { LedgerRecord } from '../ledger.ts';
import { type Commit, type CommitEntry, recordsOf } from './commit.ts';
import type { HeldVersions } from './held.ts';
import type { CommitLog } from './log.ts';
import type { Names } from './names.ts';
import type { ArrivalStore } from './records.ts';
import type { States } from './states.ts';

/** A page ends after this many payload bytes, whatever its limit (I10). */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

interface Positioned {
  seq: number;
  commit: Commit;
}

/** A part of an entry: its records from the `skip`th on, `count` of them; the first one has `offset`. */
interface Slice {
  entry: CommitEntry;
  offset: number;
  skip: number;
  count: number;
}

export class OffsetReader {
  readonly #log: CommitLog;
  readonly #states: States;
  readonly #arrivals: ArrivalStore;
  readonly #held: HeldVersions;
  readonly #names: Names;
  /** Where the last page ended: the next one mostly begins there. */
  #last: { offset: number; seq: number } = { offset: 0, seq: 1 };

  constructor(parts: {
    log: CommitLog;
    states: States;
    arrivals: ArrivalStore;
    held: HeldVersions;
    names: Names;
  }) {
    this.#log = parts.log;
    this.#states = parts.states;
    this.#arrivals = parts.arrivals;
    this.#held = parts.held;
    this.#names = parts.names;
  }

  /** Records with offset > `after`, ascending; none only at the end, also where all of a page's records are gone. */
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

  /** What to read for a page after `after`. */
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
          const share = entry.payloadBytes / size;
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

  /** The commit that gave the offset after `after`, or the first one behind it; null at the end of the log. */
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

  async #records({ entry, offset, skip, count }: Slice): Promise<LedgerRecord[]> {
    const arrival = await this.#arrivals.get(entry.parts);
    if (arrival === null) return [];
    const { source, receivedWallMs, clock } = arrival;
    const { gateway, epoch, stream } = entry;
    const bootOffsetMs =
      clock.quality === 'unsynchronised' ? await this.#bootOffsetMs(gateway, clock.bootId) : null;
    const records = arrival.records.slice(skip, skip + count).map((record, i) => ({ record, i }));
    const standing = await this.#standing(entry, records);
    return standing.map(({ record: { seq, device, topic, payload, monoMs }, i }) => ({
      gateway,
      epoch,
      stream,
      offset: offset + i,
      seq,
      device,
      topic,
      payload,
      bootId: clock.bootId,
      monoMs,
      ...wallTimeOf(monoMs, clock.offsetMs, clock.quality, bootOffsetMs),
      source,
      receivedWallMs,
    }));
  }

  /** Without what was replaced since, or came into quarantine. */
  async #standing(
    entry: CommitEntry,
    records: { record: TelemetryRecord; i: number }[],
  ): Promise<{ record: TelemetryRecord; i: number }[]> {
    const item = await this.#states.stream(entry);
    if (!item) return records;
    const { quarantine } = item.state.withdrawn;
    const kept =
      quarantine.size === 0 ? records : records.filter(({ record }) => !quarantine.has(record.seq));
    if (item.replaced.size === 0) return kept;
    const places = await this.#held.places(kept.map(({ record: { seq } }) => ({ key: entry, seq })));
    const [first] = entry.parts;
    return kept.filter(({ record: { seq } }, n) => !item.replaced.has(seq) || places[n]?.parts[0] === first);
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
