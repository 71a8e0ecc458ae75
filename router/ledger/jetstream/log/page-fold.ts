/**
 * The places of a stream's records by seq, in pages of a fixed number of ids, so that no page grows with the
 * stream.
 */
import { IntervalSet } from '../../../../shared/interval-set.ts';
import type { SeqRange } from '../../../../shared/record.ts';
import type { Parts } from './blobs.ts';
import type { Folding } from './fold.ts';

/** A range of records in one arrival. */
export interface Place extends SeqRange {
  parts: Parts;
  /** Offset of the first record; those of the others follow. Null in data of earlier versions. */
  offset: number | null;
}

export interface PageChange {
  places: readonly Place[];
  /** The places replace others. */
  replaces: boolean;
  /** Records that are gone, and records that moved to another arrival. */
  removal?: { gone: IntervalSet; moved: IntervalSet; parts: Parts };
}

/** Ascending, disjoint. */
export type Page = Place[];

/** Ids in a page: at 100 records per envelope about 160 places; at one record each, a fifth of a message. */
const PAGE_IDS = 16_384;

/** The row before offsets were stored: the parts follow as numbers. */
type OldRow = [first: number, last: number, ...parts: number[]];
type Row = [first: number, last: number, parts: Parts, offset: number | null];

export const pageFolding: Folding<Page, PageChange> = {
  apply(page, { places, replaces, removal }) {
    if (removal) return withoutRemoved(page ?? [], removal);
    const all = replaces ? without(page ?? [], places) : (page ?? []);
    const last = all.at(-1)?.last ?? 0;
    all.push(...places);
    if ((places[0]?.first ?? 0) < last) all.sort((a, b) => a.first - b.first);
    return all;
  },
  encode: (page): Row[] => page.map(({ first, last, parts, offset }) => [first, last, parts, offset]),
  decode: (value) => (value as (OldRow | Row)[]).map(decodePlace),
};

function decodePlace(row: OldRow | Row): Place {
  if (isOld(row)) {
    const [first, last, ...parts] = row;
    return { first, last, parts, offset: null };
  }
  const [first, last, parts, offset] = row;
  return { first, last, parts, offset };
}

function isOld(row: OldRow | Row): row is OldRow {
  return typeof row[2] === 'number';
}

/** `page` without the ranges of `places`. */
function without(page: Page, places: Iterable<SeqRange>): Page {
  const taken = IntervalSet.of(places);
  return page.flatMap((place) =>
    taken.missing(place.first, place.last).map((range) => cutOf(place, range, place.parts)),
  );
}

function withoutRemoved(page: Page, { gone, moved, parts }: NonNullable<PageChange['removal']>): Page {
  return without(page, gone.ranges()).flatMap((place) =>
    [
      ...moved.missing(place.first, place.last).map((range) => cutOf(place, range, place.parts)),
      ...moved.within(place.first, place.last).map((range) => cutOf(place, range, parts)),
    ].sort((a, b) => a.first - b.first),
  );
}

/** A part of a place; its offsets stay. */
function cutOf({ first, offset }: Place, range: SeqRange, parts: Parts): Place {
  return { ...range, parts, offset: offset === null ? null : offset + range.first - first };
}

/** The number of the page that `seq` is in. */
export function pageOf(seq: number): number {
  return Math.floor(seq / PAGE_IDS);
}

/** The ranges of `fresh`, by page; their offsets count up from `offset`. */
export function placesByPage(fresh: IntervalSet, parts: Parts, offset: number): Map<number, Place[]> {
  const pages = new Map<number, Place[]>();
  let next = offset;
  for (const { first, last } of fresh.ranges()) {
    for (let page = pageOf(first); page <= pageOf(last); page += 1) {
      const [within] = fresh.within(
        Math.max(first, page * PAGE_IDS),
        Math.min(last, (page + 1) * PAGE_IDS - 1),
      );
      if (!within) continue;
      pages.set(page, [...(pages.get(page) ?? []), { ...within, parts, offset: next }]);
      next += within.last - within.first + 1;
    }
  }
  return pages;
}

/** The place of `seq`; null where the page has none. */
export function placeOf(page: Page | null, seq: number): Place | null {
  let low = 0;
  let high = page?.length ?? 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((page?.[middle]?.last ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  const place = page?.[low];
  return place && place.first <= seq ? place : null;
}

/** The numbers of the pages with any of `ids`. */
export function pagesOf(ids: IntervalSet): Set<number> {
  const pages = new Set<number>();
  for (const { first, last } of ids.ranges()) {
    for (let page = pageOf(first); page <= pageOf(last); page += 1) pages.add(page);
  }
  return pages;
}
