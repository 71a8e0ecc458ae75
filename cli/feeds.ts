/** `headgate feeds`: works on the ledger, with or without a running router. */
import { type LedgerToolConfig, loadFeedConfig } from '../router/config.ts';
import { withoutRecord } from '../router/feeds/hold-back.ts';
import { type FeedLag, feedLags } from '../router/feeds/lag.ts';
import { keepsPosition, openSink } from '../router/feeds/open.ts';
import { Quarantine, type QuarantinedRecord } from '../router/feeds/quarantine.ts';
import type { Ledger } from '../router/ledger/ledger.ts';
import type { FeedPosition } from '../router/ledger/types.ts';
import { systemClock } from '../shared/clock.ts';
import { formatProblems } from '../shared/config/load.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { createLogger } from '../shared/log.ts';
import { StartRefused } from '../shared/start-refused.ts';
import { auditedOutcome, type Named, routerAudit } from './audited.ts';
import { runningRouter } from './running-router.ts';
import { terminal } from './terminal.ts';
import { withLedger } from './with-ledger.ts';

export type ListedFeed = FeedLag & { name: string; type: string; quarantined: readonly QuarantinedRecord[] };

type Destination = Parameters<typeof openSink>[0];

type Outcome = { done: string } | { refused: string };

/** Null when there is no ledger. */
export function listFeeds(config: LedgerToolConfig): Promise<ListedFeed[] | null> {
  return withLedger(config, async (ledger) => {
    const lags = await feedLags(config.feeds, ledger, systemClock);
    const listed: ListedFeed[] = [];
    for (const { name, type } of config.feeds) {
      const lag = lags.get(name);
      const quarantined = await new Quarantine(ledger, name).load();
      if (lag) listed.push({ name, type, ...lag, quarantined });
    }
    return listed;
  });
}

/** Marks records in quarantine to be sent again by the router that runs the feed: one, or all. */
export async function retryRecords(
  config: LedgerToolConfig,
  name: string,
  offset: string | null,
): Promise<Outcome> {
  const named = { action: 'feeds.retry', target: name, detail: { offset } };
  return changeFeed(config, named, async (ledger) => {
    const quarantine = new Quarantine(ledger, name);
    const wanted = await wantedRecords(quarantine, offset);
    if ('refused' in wanted) return wanted;
    for (const one of wanted.offsets) await quarantine.replace(one, (entry) => ({ ...entry, isDue: true }));
    return { done: `${name} sends ${wanted.offsets.length} records of its quarantine again` };
  });
}

/** Takes a record out of quarantine for good: the destination never gets it. */
export async function dropRecord(config: LedgerToolConfig, name: string, offset: string): Promise<Outcome> {
  const named = { action: 'feeds.drop', target: name, detail: { offset } };
  return changeFeed(config, named, async (ledger) => {
    const quarantine = new Quarantine(ledger, name);
    const wanted = await wantedRecords(quarantine, offset);
    if ('refused' in wanted) return wanted;
    for (const one of wanted.offsets) await quarantine.replace(one, () => null);
    return { done: `${name} never gets the record at offset ${offset}` };
  });
}

async function wantedRecords(
  quarantine: Quarantine,
  offset: string | null,
): Promise<{ offsets: number[] } | { refused: string }> {
  const listed = (await quarantine.load()).map((entry) => entry.offset);
  if (offset === null) return { offsets: listed };
  const wanted = offsetOf(offset);
  if ('refused' in wanted) return wanted;
  if (listed.includes(wanted.offset)) return { offsets: [wanted.offset] };
  return { refused: `the record at offset ${offset} is not in quarantine: see headgate feeds ls` };
}

/** `to`: an offset, or `end`. */
export async function resetFeed(config: LedgerToolConfig, name: string, to: string): Promise<Outcome> {
  const destination = loadDestination(config, name);
  return changeFeed(config, { action: 'feeds.reset', target: name, detail: { to } }, async (ledger) => {
    const { records: end } = await ledger.totals();
    const offset = to === 'end' ? end : /^\d{1,15}$/.test(to) ? Number(to) : Number.NaN;
    if (!(offset <= end)) return { refused: `--to takes "end", or an offset up to ${end}` };
    await setInDestination(destination, config, { offset, progress: new Uint8Array() });
    await ledger.resetFeedPosition(name, offset);
    return { done: `${name} continues after offset ${offset}` };
  });
}

/**
 * Skips exactly one record: at `offset`, or the refused record that the running router reports. The feed's
 * next record may be another one: until the router has isolated the refused record, valid records come before
 * it.
 */
export async function skipRecord(
  config: LedgerToolConfig,
  name: string,
  offset: string | null,
): Promise<Outcome> {
  const destination = loadDestination(config, name);
  const named = { action: 'feeds.skip', target: name, detail: { offset } };
  return changeFeed(config, named, async (ledger) => {
    const wanted = offset === null ? await refusedRecord(config, name) : offsetOf(offset);
    if ('refused' in wanted) return wanted;
    const from = await ledger.loadFeedPosition(name);
    const [record] = await ledger.read(wanted.offset - 1, 1);
    if (record?.offset !== wanted.offset)
      return { refused: `the ledger has no record at offset ${wanted.offset}` };
    const to = withoutRecord(from, wanted.offset) ?? (await afterNext(ledger, from, wanted.offset));
    if (!to) {
      return {
        refused: `the record at offset ${wanted.offset} is not the next record of ${name}: see headgate feeds reset`,
      };
    }
    await setInDestination(destination, config, to);
    if (!(await ledger.moveFeedPosition(name, from, to)))
      return { refused: `${name} has moved on meanwhile: list the feeds, then try again` };
    const id = [record.gateway, record.epoch, record.stream, record.seq].join('/');
    return { done: `${name} skips ${id} at offset ${record.offset}` };
  });
}

function offsetOf(text: string): { offset: number } | { refused: string } {
  return /^[1-9]\d{0,14}$/.test(text) ? { offset: Number(text) } : { refused: '--offset takes an offset' };
}

/** Asks the router that runs with this configuration for the refused record. */
async function refusedRecord(
  config: LedgerToolConfig,
  name: string,
): Promise<{ offset: number } | { refused: string }> {
  const found = await runningRouter(config);
  const hint = '--offset skips a given record';
  if (!found.ok) return { refused: `${found.message}; ${hint}` };
  const refused = found.answer.feeds.find((feed) => feed.name === name)?.refused;
  return (
    refused ?? { refused: `the router reports no record refused by the destination of ${name}; ${hint}` }
  );
}

/** The position after the next record, if that record is at `offset`. */
async function afterNext(ledger: Ledger, from: FeedPosition, offset: number): Promise<FeedPosition | null> {
  if (from.progress.byteLength > 0) return null;
  const [next] = await ledger.read(from.offset, 1);
  return next?.offset === offset ? { offset, progress: new Uint8Array() } : null;
}

/**
 * The feed's own entry, where its destination stores the position itself; null otherwise. It is read before
 * the ledger is opened: root may read secrets that the owner of the ledger may not.
 */
function loadDestination({ file, feeds }: LedgerToolConfig, name: string): Destination | null {
  if (!keepsPosition(feeds.find((feed) => feed.name === name)?.type)) return null;
  const loaded = loadFeedConfig(file, name);
  if (!loaded.ok) throw new StartRefused(formatProblems(loaded.problems), EXIT.config);
  return loaded.config;
}

async function setInDestination(
  destination: Destination | null,
  { log }: LedgerToolConfig,
  position: FeedPosition,
): Promise<void> {
  if (destination === null) return;
  const logger = createLogger(log, terminal().stderr);
  const sink = await openSink(destination, { clock: systemClock, log: logger, stdout: terminal().stdout });
  try {
    await sink.setPosition?.(position);
  } finally {
    await sink.close();
  }
}

/** Changes a feed of router.yaml, and notes it in the router's audit log. */
async function changeFeed(
  config: LedgerToolConfig,
  named: Named & { target: string },
  use: (ledger: Ledger) => Promise<Outcome>,
): Promise<Outcome> {
  if (!config.feeds.some((feed) => feed.name === named.target)) {
    const known = config.feeds.map((feed) => feed.name).join(', ') || 'none';
    return { refused: `there is no feed ${named.target}; router.yaml has: ${known}` };
  }
  const outcome = await withLedger(config, async (ledger) =>
    auditedOutcome<Outcome>(await routerAudit(config), named, async () => {
      const found = await use(ledger);
      return 'done' in found
        ? { value: found, detail: { result: found.done } }
        : { value: found, phase: 'refused' as const, detail: { reason: found.refused } };
    }),
  );
  if (outcome === null) return { refused: `there is no ledger in ${config.data_dir}` };
  return 'value' in outcome ? outcome.value : outcome;
}
