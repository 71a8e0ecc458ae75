/** How far the feeds are. Part of the contract. */
import type { Test } from 'tap';
import type { FeedPosition } from '../../../router/ledger/types.ts';
import type { LedgerEngine } from './engine.ts';
import { fresh } from './fresh.ts';

const LEASE_MS = 60_000;

function at(offset: number, ...progress: number[]): FeedPosition {
  return { offset, progress: Uint8Array.from(progress) };
}

export function feedCases(t: Test, engine: LedgerEngine): void {
  t.test('a feed moves only from where it is, and its position survives', async (t) => {
    const { ledger, place } = await fresh(t, engine);
    const claim = async () => {
      const position = await ledger.claimFeedPosition('file', 'a', LEASE_MS);
      return position && at(position.offset, ...position.progress);
    };
    t.strictSame(await claim(), at(0));
    t.equal(await ledger.moveFeedPosition('file', at(0), at(10)), true);
    t.equal(await ledger.moveFeedPosition('file', at(0), at(20)), false, 'it is at 10');
    t.equal(await ledger.moveFeedPosition('file', at(10, 1), at(20)), false, 'with no progress');
    t.strictSame(await claim(), at(10));
    t.equal(await ledger.moveFeedPosition('file', at(10), at(10, 0, 255)), true);
    t.equal(await ledger.moveFeedPosition('file', at(10), at(30)), false);
    t.equal((await ledger.loadFeedPosition('file')).offset, 10);
    await ledger.close();
    const again = await engine.open(place);
    t.teardown(() => again.close());
    const kept = await again.claimFeedPosition('file', 'a', LEASE_MS);
    t.strictSame(kept && at(kept.offset, ...kept.progress), at(10, 0, 255));
  });

  t.test('a feed that is set anew forgets its progress; others are not touched', async (t) => {
    const { ledger } = await fresh(t, engine);
    for (const feed of ['a', 'b']) {
      await ledger.claimFeedPosition(feed, 'x', LEASE_MS);
      await ledger.moveFeedPosition(feed, at(0), at(5, 7));
    }
    await ledger.resetFeedPosition('a', 3);
    t.equal(await ledger.moveFeedPosition('a', at(5, 7), at(6)), false);
    t.equal(await ledger.moveFeedPosition('a', at(3), at(4)), true);
    t.equal(await ledger.moveFeedPosition('b', at(5, 7), at(6)), true);
    await ledger.releaseFeedPosition('a', 'x');
    t.equal((await ledger.loadFeedPosition('a')).offset, 4);
  });
}
