/** `headgate feeds`: works on the ledger, whether or not a router runs on it. */
import type { RouterConfig } from '../router/config.ts';
import { type FeedLag, feedLags } from '../router/feeds/lag.ts';
import { openSink } from '../router/feeds/open.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import { systemClock } from '../shared/clock.ts';
import { createLogger } from '../shared/log.ts';
import { withLedger } from './with-ledger.ts';

export type ListedFeed = FeedLag & { name: string; type: string };

type Outcome = { done: string } | { refused: string };

/** Null when there is no ledger. */
export function listFeeds(config: RouterConfig): Promise<ListedFeed[] | null> {
  return withLedger(config, async (ledger) => {
    const lags = await feedLags(config.feeds, ledger, systemClock);
    return config.feeds.flatMap(({ name, type }) => {
      const lag = lags.get(name);
      return lag ? [{ name, type, ...lag }] : [];
    });
  });
}

/** `to`: an offset, or `end`. */
export function resetFeed(config: RouterConfig, name: string, to: string): Promise<Outcome> {
  return withFeed(config, name, async (ledger) => {
    const { records: end } = await ledger.totals();
    const offset = to === 'end' ? end : /^\d{1,15}$/.test(to) ? Number(to) : Number.NaN;
    if (!(offset <= end)) return { refused: `--to takes "end", or an offset up to ${end}` };
    await setPosition(config, name, ledger, offset);
    return { done: `${name} goes on after offset ${offset}` };
  });
}

export function skipRecord(config: RouterConfig, name: string): Promise<Outcome> {
  return withFeed(config, name, async (ledger) => {
    const [next] = await ledger.read((await ledger.loadFeedPosition(name)).offset, 1);
    if (!next) return { refused: `${name} has handed over all that the ledger has` };
    await setPosition(config, name, ledger, next.offset);
    const { gateway, epoch, stream, seq, offset } = next;
    return { done: `${name} passes over ${[gateway, epoch, stream, seq].join('/')} at offset ${offset}` };
  });
}

/** Sets the position first in a destination that keeps it itself, then in the ledger. */
async function setPosition(
  { feeds, log }: RouterConfig,
  name: string,
  ledger: Ledger,
  offset: number,
): Promise<void> {
  const config = feeds.find((feed) => feed.name === name);
  if (config) {
    const logger = createLogger(log, process.stderr);
    const sink = openSink(config, { clock: systemClock, log: logger, stdout: process.stdout });
    try {
      await sink.setPosition?.({ offset, progress: new Uint8Array() });
    } finally {
      await sink.close();
    }
  }
  await ledger.resetFeedPosition(name, offset);
}

async function withFeed(
  config: RouterConfig,
  name: string,
  use: (ledger: Ledger) => Promise<Outcome>,
): Promise<Outcome> {
  if (!config.feeds.some((feed) => feed.name === name)) return { refused: `there is no feed ${name}` };
  return (await withLedger(config, use)) ?? { refused: `there is no ledger in ${config.data_dir}` };
}
