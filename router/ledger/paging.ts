/**
 * Going over the streams of a ledger, of which there may be millions, without holding them all (I10): in
 * pages, each found from the key that the last one ended with, so that what commits meanwhile neither hides
 * nor repeats a stream.
 *
 * Ascending by gateway, epoch, stream; what comes before what is the engine's to say (a database has its
 * collation), always the same.
 */
import type { StreamKey } from '../../shared/record.ts';
import type { StreamCompleteness } from './types.ts';

export interface PageQuery {
  /** Of one gateway alone. Default: of all. */
  gateway?: string;
  /** The key that the page before ended with; need not be there any more. Null: from the start. */
  after: StreamKey | null;
  /** How many streams at most; at least 1. */
  limit: number;
}

export interface CompletenessPage {
  streams: StreamCompleteness[];
  /** `after` of the next page; null at the end. */
  next: StreamKey | null;
}

/** What {@link Ledger.survey} shows every stream to. */
export interface StreamVisitor {
  add(stream: StreamCompleteness): void;
}

/** Sorts before every key: epochs have names. */
export const BEFORE_ALL: StreamKey = { gateway: '', epoch: '', stream: '' };

const SURVEY_STREAMS = 1000;

/** The page of what was found when one more than `limit` was asked for. */
export function pageOf(found: readonly StreamCompleteness[], limit: number): CompletenessPage {
  const streams = found.slice(0, limit);
  const last = found.length > limit ? streams.at(-1) : undefined;
  if (!last) return { streams, next: null };
  const { gateway, epoch, stream } = last;
  return { streams, next: { gateway, epoch, stream } };
}

/** {@link Ledger.survey} of an engine that finds a page without going over what is before it. */
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
