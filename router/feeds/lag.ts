/** How far a feed is behind the ledger. */
import type { Clock } from '../../shared/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface FeedLag {
  /** Offset of the last record that the destination has, and all before it. */
  offset: number;
  /** Records of the ledger after that. */
  records: number;
  /** How long ago the ledger took the first of them; 0 when there is none. */
  seconds: number;
}

/** Read from the ledger, so that every router says the same of a feed, whichever of them runs it. */
export async function feedLag(feed: string, ledger: Ledger, clock: Clock): Promise<FeedLag> {
  const [offset, { records: head }] = await Promise.all([ledger.loadCursor(feed), ledger.totals()]);
  const [first] = head > offset ? await ledger.read(offset, 1) : [];
  const seconds = first ? Math.max(0, clock.wallMs() - first.receivedWallMs) / 1000 : 0;
  return { offset, records: Math.max(0, head - offset), seconds };
}
