/** Metrics of the feeds, read from them and from the ledger at each scrape. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../shared/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Feed } from './feed.ts';
import { type FeedLag, feedLags } from './lag.ts';

const PREFIX = 'headgate_router_feed_';

interface MeasuredFeeds {
  feeds: readonly Feed[];
  ledger: Ledger;
  clock: Clock;
}

export function registerFeeds(registry: Registry, { feeds, ledger, clock }: MeasuredFeeds): void {
  const common = { labelNames: ['feed'], registers: [registry] };
  // One query of the ledger serves both gauges of a scrape.
  let asking: Promise<Map<string, FeedLag>> | null = null;
  const lags = (): Promise<Map<string, FeedLag>> => {
    asking ??= feedLags(feeds, ledger, clock).finally(() => {
      asking = null;
    });
    return asking;
  };
  new Gauge({
    ...common,
    name: `${PREFIX}lag_records`,
    help: 'Records of the ledger that the feed has not delivered.',
    async collect() {
      for (const [feed, { records }] of await lags()) this.set({ feed }, records);
    },
  });
  new Gauge({
    ...common,
    name: `${PREFIX}lag_seconds`,
    help: 'How long ago the ledger took the first record that the feed has not delivered.',
    async collect() {
      for (const [feed, { seconds }] of await lags()) this.set({ feed }, seconds);
    },
  });
  new Gauge({
    ...common,
    name: `${PREFIX}held_records`,
    help: 'Records that this router holds back until the earlier records of their streams arrive.',
    collect() {
      for (const feed of feeds) this.set({ feed: feed.name }, feed.state().held);
    },
  });
  new Gauge({
    ...common,
    name: `${PREFIX}quarantined_records`,
    help: 'Records that the destination refused again and again, as far as this router has read the list.',
    collect() {
      for (const feed of feeds) this.set({ feed: feed.name }, feed.state().quarantined);
    },
  });
  new Gauge({
    ...common,
    name: `${PREFIX}running`,
    help: 'One where this router runs the feed, zero where another router does or the destination asked for no more.',
    collect() {
      for (const feed of feeds) {
        const { phase } = feed.state();
        this.set({ feed: feed.name }, phase === 'following' || phase === 'retrying' ? 1 : 0);
      }
    },
  });
  new Counter({
    ...common,
    name: `${PREFIX}failures_total`,
    help: 'Tries of this router that failed.',
    collect() {
      this.reset();
      for (const feed of feeds) this.inc({ feed: feed.name }, feed.state().failures);
    },
  });
}
