/** The stored versions of repeated records, read together. */
import type { StreamKey } from '../../../shared/record.ts';
import type { HeldVersion } from '../types.ts';
import { type ArrivalStore, recordIn } from './arrivals.ts';
import type { Parts } from './log/blobs.ts';
import { type Place, pageOf, placeOf } from './log/page-fold.ts';
import type { States } from './log/states.ts';
import type { Names } from './names.ts';

export interface RecordId {
  key: StreamKey;
  seq: number;
}

export class HeldVersions {
  readonly #states: States;
  readonly #arrivals: ArrivalStore;
  readonly #names: Names;

  constructor(states: States, arrivals: ArrivalStore, names: Names) {
    this.#states = states;
    this.#arrivals = arrivals;
    this.#names = names;
  }

  /** In the order of `ids`; null for an id that never came or was pruned. Ids in quarantine are included. */
  async of(ids: readonly RecordId[]): Promise<(HeldVersion | null)[]> {
    const places = await this.places(ids);
    const wanted = new Map<number, Parts>();
    for (const place of places) if (place) wanted.set(place.parts[0] ?? 0, place.parts);
    const arrivals = new Map(
      await Promise.all(
        [...wanted].map(async ([first, parts]) => [first, await this.#arrivals.get(parts)] as const),
      ),
    );
    return ids.map(({ seq }, i) => {
      const arrival = arrivals.get(places[i]?.parts[0] ?? 0);
      const record = arrival ? recordIn(arrival, seq) : null;
      if (!arrival || !record) return null;
      const { device, topic, payload, monoMs } = record;
      const { source, receivedWallMs, sentAs } = arrival;
      return { device, topic, payload, monoMs, source, receivedWallMs, sentAs };
    });
  }

  /** The places of the records of `ids`, in the same order. */
  async places(ids: readonly RecordId[]): Promise<(Place | null)[]> {
    const pages = new Map<string, string>();
    const pageNames = ids.map(({ key, seq }) => {
      // Consecutive ids share a page, and building a subject is costly.
      const { gateway, epoch, stream } = key;
      const id = JSON.stringify([gateway, epoch, stream, pageOf(seq)]);
      const name = pages.get(id) ?? this.#names.page(key, pageOf(seq));
      pages.set(id, name);
      return name;
    });
    const loaded = await this.#states.pages.load(pages.values());
    return ids.map(({ seq }, i) => placeOf(loaded.get(pageNames[i] ?? '') ?? null, seq));
  }
}
