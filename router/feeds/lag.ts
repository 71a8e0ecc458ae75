/** How far each feed is behind the ledger. */
import type { Clock } from '../../shared/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface FeedLag {
  /** The destination has every record up to this offset. */
  offset: number;
  /** Records of the ledger after that offset. */
  records: number;
  /** How long ago the ledger took the first of them; 0 when there are none. */
  seconds: number;
}

/** By feed. Read from the ledger, so that every router gives the same answer, whichever runs the feed. */
export async function feedLags(
  feeds: readonly { name: string }[],
  ledger: Ledger,
  clock: Clock,
): Promise<Map<string, FeedLag>> {
  const { records: head } = await ledger.totals();
  const lags = new Map<string, FeedLag>();
  for (const { name } of feeds) {
    const offset = (await ledger.loadFeedPosition(name)).offset;
    const [first] = head > offset ? await ledger.read(offset, 1) : [];
    const seconds = first ? Math.max(0, clock.wallMs() - first.receivedWallMs) / 1000 : 0;
    lags.set(name, { offset, records: Math.max(0, head - offset), seconds });
  }
  return lags;
}
