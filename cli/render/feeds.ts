/** `headgate feeds ls`. */
import type { ListedFeed } from '../feeds.ts';
import { countText, spanText, table } from '../format.ts';

export function renderFeeds(feeds: readonly ListedFeed[]): string {
  return table(
    ['FEED', 'TYPE', 'OFFSET', 'LAG', 'BEHIND'],
    feeds.map(({ name, type, offset, records, seconds }) => [
      name,
      type,
      String(offset),
      countText(records),
      spanText(seconds * 1000),
    ]),
  );
}
