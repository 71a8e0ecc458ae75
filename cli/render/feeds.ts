/** `headgate feeds ls`. */
import type { ListedFeed } from '../feeds.ts';
import { countText, spanText, table } from '../format.ts';

export function renderFeeds(feeds: readonly ListedFeed[]): string {
  const listed = table(
    ['FEED', 'TYPE', 'OFFSET', 'LAG', 'BEHIND', 'QUARANTINED'],
    feeds.map(({ name, type, offset, records, seconds, quarantined }) => [
      name,
      type,
      String(offset),
      countText(records),
      spanText(seconds * 1000),
      String(quarantined.length),
    ]),
  );
  const aside = feeds.flatMap(({ name, quarantined }) =>
    quarantined.map(({ id, offset, tries, isDue, error }) => [
      name,
      id,
      String(offset),
      isDue ? `${tries}, again soon` : String(tries),
      error,
    ]),
  );
  if (aside.length === 0) return listed;
  return `${listed}\n\n${table(['QUARANTINED BY', 'RECORD', 'OFFSET', 'TRIES', 'ERROR'], aside)}`;
}
