/**
 * Iterates over the streams of a ledger, possibly millions, without holding them all (I10): in pages, each
 * found from the last key of the previous page, so that concurrent commits neither hide nor repeat a stream.
 *
 * Ascending by gateway, epoch, stream. The engine defines the order (a database has its collation), always
 * the same.
 */
import type { StreamKey } from '../../shared/record.ts';
import type { StreamCompleteness } from './types.ts';

export interface PageQuery {
  /** The streams of one gateway. Default: of all. */
  gateway?: string;
  /** The last key of the previous page; it need not exist any more. Null: from the start. */
  after: StreamKey | null;
  /** Most streams; at least 1. */
  limit: number;
}

export interface CompletenessPage {
  streams: StreamCompleteness[];
  /** `after` of the next page; null at the end. */
  next: StreamKey | null;
}

/** The visitor of {@link Ledger.survey}. */
export interface StreamVisitor {
  add(stream: StreamCompleteness): void;
}

/** Sorts before every key: epochs have non-empty names. */
export const BEFORE_ALL: StreamKey = { gateway: '', epoch: '', stream: '' };

const SURVEY_STREAMS = 1000;

/** The page from a query for one more than `limit` streams. */
export function pageOf(found: readonly StreamCompleteness[], limit: number): CompletenessPage {
  const streams = found.slice(0, limit);
  const last = found.length > limit ? streams.at(-1) : undefined;
  if (!last) return { streams, next: null };
  const { gateway, epoch, stream } = last;
  return { streams, next: { gateway, epoch, stream } };
}

/** {@link Ledger.survey} for an engine that finds a page without scanning the pages before it. */
export async function surveyByPages<V extends StreamVisitor>(
  visitor: V,
  page: (query: PageQuery) => Promise<CompletenessPage>,
): Promise<V> {
  for (let after: StreamKey | null = null; ; ) {
    const { streams, next }: CompletenessPage = await page({ after, limit: SURVEY_STREAMS });
    for (const stream of streams) visitor.add(stream);
    if (next === null) return visitor;
    after = next;
  }
}
