/** Where the records of a stream are, by seq: in pages of a fixed number of ids, so that none grows with the stream. */
import type { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange } from '../../../shared/record.ts';
import type { Parts } from './blobs.ts';
import type { Folding } from './fold.ts';

/** A run of records in one arrival. */
export interface Place extends SeqRange {
  parts: Parts;
}

/** Ascending, disjoint. */
export type Page = Place[];

/** Ids in a page: at 100 records per envelope about 160 places, at one record each a fifth of a message. */
const PAGE_IDS = 16_384;

type Row = [first: number, last: number, ...parts: number[]];

export const pageFolding: Folding<Page, readonly Place[]> = {
  apply(page, places) {
    const all = page ?? [];
    const last = all.at(-1)?.last ?? 0;
    all.push(...places);
    if ((places[0]?.first ?? 0) < last) all.sort((a, b) => a.first - b.first);
    return all;
  },
  encode: (page): Row[] => page.map(({ first, last, parts }) => [first, last, ...parts]),
  decode: (value) => (value as Row[]).map(([first, last, ...parts]) => ({ first, last, parts })),
};

/** The number of the page that `seq` is in. */
export function pageOf(seq: number): number {
  return Math.floor(seq / PAGE_IDS);
}

/** The runs of `fresh`, by the page they belong to. */
export function placesByPage(fresh: IntervalSet, parts: Parts): Map<number, Place[]> {
  const pages = new Map<number, Place[]>();
  for (const { first, last } of fresh.ranges()) {
    for (let page = pageOf(first); page <= pageOf(last); page += 1) {
      const [within] = fresh.within(
        Math.max(first, page * PAGE_IDS),
        Math.min(last, (page + 1) * PAGE_IDS - 1),
      );
      if (within) pages.set(page, [...(pages.get(page) ?? []), { ...within, parts }]);
    }
  }
  return pages;
}

/** The arrival that `seq` is in; null where the page knows none. */
export function placeOf(page: Page | null, seq: number): Parts | null {
  let low = 0;
  let high = page?.length ?? 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((page?.[middle]?.last ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  const place = page?.[low];
  return place && place.first <= seq ? place.parts : null;
}
