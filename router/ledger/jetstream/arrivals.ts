/** The records: arrivals in the logs of the gateways' streams, with a cache of the most recently used. */
import type { StreamKey, TelemetryRecord } from '../../../shared/record.ts';
import type { LedgerEntry } from '../types.ts';
import { type Arrival, decodeArrival, encodeArrival } from './arrival-format.ts';
import type { Blobs, Parts } from './log/blobs.ts';
import type { Names } from './names.ts';

export class ArrivalStore {
  readonly #blobs: Blobs;
  readonly #names: Names;
  readonly #cacheBytesMax: number;
  /** Stored bytes by their first part, least recently used first. */
  readonly #cache = new Map<number, Uint8Array>();
  #cacheBytes = 0;

  constructor(blobs: Blobs, names: Names, cacheBytesMax: number) {
    this.#blobs = blobs;
    this.#names = names;
    this.#cacheBytesMax = cacheBytesMax;
  }

  /** Stores `records` of `entry`, without committing them. */
  async put(
    { envelope, source, receivedWallMs, sentAs = null }: LedgerEntry,
    records: readonly TelemetryRecord[],
  ): Promise<Parts> {
    return this.store(envelope, { source, receivedWallMs, clock: envelope.clock, sentAs, records });
  }

  async store(key: StreamKey, arrival: Arrival): Promise<Parts> {
    const bytes = encodeArrival(arrival);
    const parts = await this.#blobs.put(this.#names.recordsOf(key), bytes);
    this.#keep(parts, bytes);
    return parts;
  }

  /** No effect when the arrival is gone already. */
  async remove(parts: Parts): Promise<void> {
    const [first = 0] = parts;
    this.#cacheBytes -= this.#cache.get(first)?.byteLength ?? 0;
    this.#cache.delete(first);
    await this.#blobs.remove(this.#names.records, parts);
  }

  /** Null when the arrival is gone. */
  async get(parts: Parts): Promise<Arrival | null> {
    const bytes = this.#cache.get(parts[0] ?? 0) ?? (await this.#blobs.get(this.#names.records, parts));
    if (bytes === null) return null;
    this.#keep(parts, bytes);
    return decodeArrival(bytes);
  }

  #keep([first = 0]: Parts, bytes: Uint8Array): void {
    if (!this.#cache.delete(first)) this.#cacheBytes += bytes.byteLength;
    this.#cache.set(first, bytes);
    for (const [oldest, one] of this.#cache) {
      if (this.#cacheBytes <= this.#cacheBytesMax) break;
      this.#cache.delete(oldest);
      this.#cacheBytes -= one.byteLength;
    }
  }
}

/** The record of a seq, by binary search. */
export function recordIn({ records }: Arrival, seq: number): TelemetryRecord | null {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle]?.seq ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  const record = records[low];
  return record?.seq === seq ? record : null;
}
