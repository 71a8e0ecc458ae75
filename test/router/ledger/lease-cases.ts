/** Leases of feeds, on engines that several routers share. */
import type { Test } from 'tap';
import { until } from '../../until.ts';
import type { LedgerEngine } from './engine.ts';
import { seqs } from './envelopes.ts';
import { fresh } from './fresh.ts';

export function leaseCases(t: Test, engine: LedgerEngine): void {
  t.test('one holder at a time, until the lease ends or is given back', async (t) => {
    const { ledger } = await fresh(t, engine);
    const claims = await Promise.all(
      seqs(1, 8).map((i) => ledger.claimFeedPosition('file', `router-${i}`, 60_000)),
    );
    t.equal(claims.filter((claim) => claim !== null).length, 1, 'of eight that ask at once');
    const holder = `router-${claims.findIndex((claim) => claim !== null) + 1}`;
    t.match(await ledger.claimFeedPosition('file', holder, 60_000), { offset: 0 }, 'renewed');
    t.match(
      await ledger.claimFeedPosition('other', 'router-9', 60_000),
      { offset: 0 },
      'each feed has its own',
    );
    await ledger.releaseFeedPosition('file', 'router-9');
    t.equal(await ledger.claimFeedPosition('file', 'router-9', 60_000), null, 'not given back by another');
    await ledger.releaseFeedPosition('file', holder);
    t.match(await ledger.claimFeedPosition('file', 'router-9', 5000), { offset: 0 });
    // Leases that end before and after it show where the time is.
    t.match(await ledger.claimFeedPosition('before', 'router-9', 3000), { offset: 0 });
    t.match(await ledger.claimFeedPosition('after', 'router-9', 5000), { offset: 0 });
    t.equal(await ledger.claimFeedPosition('file', holder, 300), null);
    const isFree = (feed: string) => async () =>
      (await ledger.claimFeedPosition(feed, holder, 60_000)) !== null;
    await until('the lease before it is over', isFree('before'));
    const position = { offset: 0, progress: new Uint8Array() };
    t.ok(await ledger.moveFeedPosition('file', position, { ...position, offset: 1 }));
    await until('the lease after it is over', isFree('after'));
    t.match(
      await ledger.claimFeedPosition('file', holder, 300),
      { offset: 1 },
      'a move does not make it longer',
    );
  });
}
