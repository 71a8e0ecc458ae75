/**
 * The drain after an outage: a million records wait, and a device continues to publish. Measures the rate of
 * the backlog and its effect on live records, whose latency runs from the publish (before the commit) to the
 * cloud's acknowledgement. A real agent; the clouds are a second process, the device and its clock a third.
 */
import { IntervalSet } from '../shared/interval-set.ts';
import type { SeqRange } from '../shared/record.ts';
import { type Acceptance, AgentLog, LOG_FOR_BENCH } from './load/agent-log.ts';
import { type CloudName, type Clouds, startClouds } from './load/clouds.ts';
import { freePort, load, pause, Workshop } from './load/programs.ts';
import { Traffic } from './load/traffic.ts';
import { type Bench, type Measured, median, type Options, quantile, rounded } from './measure.ts';

const CLOUDS: readonly CloudName[] = ['aws', 'azure', 'gcp'];
const BACKLOG = 1_000_000;
const RATE = 200;
const ROUNDS = 5;
const WARM_UP_MS = 10_000;
const CALM_MS = 15_000;
/**
 * The outage lasts this long after the last record of the backlog: records that waited for five seconds are
 * in the backlog lane.
 */
const OUTAGE_MS = 6000;
const DRAIN_MS_MAX = 120_000;
const POLL_MS = 20;
/** The agent notices the end of the outage after at most this time. */
const FAILOVER = { open_max: '2s' };

interface Round {
  /** Live latencies in milliseconds. */
  calm: number[];
  during: number[];
  rowsPerSecond: number;
}

interface Parts {
  log: AgentLog;
  traffic: Traffic;
  clouds: Clouds;
  cloud: CloudName;
  /** Publishes the backlog. */
  fill: () => Promise<unknown>;
}

export const bench: Bench = {
  name: 'drain',
  summary: `${BACKLOG} records of backlog with ${RATE}/s live, ${ROUNDS} times`,
  options: { cloud: { takes: CLOUDS.join('|'), default: 'aws', is: 'where the backlog drains to' } },
  async run(options: Options): Promise<Measured> {
    const cloud = CLOUDS.find((name) => name === options['cloud']);
    if (!cloud) throw new Error(`--cloud is one of ${CLOUDS.join(', ')}`);
    const shop = new Workshop();
    try {
      return report(await measured(shop, cloud));
    } finally {
      await shop.close();
    }
  },
};

async function measured(shop: Workshop, cloud: CloudName): Promise<Round[]> {
  const bin = await shop.installed();
  const program = shop.compile('mqtt-load.c');
  const clouds = await startClouds(shop, bin);
  const log = new AgentLog();
  const port = await freePort();
  const providers = [clouds.provider(cloud)];
  const onLine = (line: string): void => log.read(line);
  const extras = { providers, bin, log: LOG_FOR_BENCH, onLine };
  await shop.agent('drain', { failover: FAILOVER }, port, {}, extras);
  const traffic = await Traffic.connect(port, RATE);
  const fill = () =>
    load(program, port, { clients: 10, window: 100, payloadBytes: 100, messages: BACKLOG, rate: 0 });
  const rounds: Round[] = [];
  await lived(traffic, log, 1, WARM_UP_MS);
  for (let round = 1; round <= ROUNDS; round++) {
    const result = await drained({ log, traffic, clouds, cloud, fill });
    rounds.push(result);
    const p99 = (values: readonly number[]): number => quantile(values, 0.99);
    console.error(
      `drain ${round}: ${rounded(result.rowsPerSecond)} rows/s; live p99 ${p99(result.calm)} ms calm, ${p99(result.during)} ms of ${result.during.length} during the drain`,
    );
  }
  await traffic.end();
  return rounds;
}

async function drained({ log, traffic, clouds, cloud, fill }: Parts): Promise<Round> {
  const calm = await lived(traffic, log, traffic.seqs.last + 1, CALM_MS);
  const first = traffic.seqs.last + 1;
  await clouds.setFault(cloud, { fault: 'refuse' });
  await fill();
  await pause(OUTAGE_MS);
  const last = first + BACKLOG - 1;
  log.watchedFrom = last + 1;
  const before = log.acceptances.length;
  traffic.start(last + 1);
  await clouds.setFault(cloud, null);
  const drain = await drainOf(log, before, { first, last });
  const startMs = drain[0]?.atMs ?? Number.NaN;
  const endMs = drain.at(-1)?.atMs ?? Number.NaN;
  await pause(1000);
  await traffic.stop();
  await delivered(traffic, log);
  const during = latencies(traffic, log, startMs, endMs);
  return { calm, during, rowsPerSecond: (BACKLOG * 1000) / (endMs - startMs) };
}

/** Waits until the whole backlog is accepted; returns the acceptances in order. */
async function drainOf(log: AgentLog, before: number, backlog: SeqRange): Promise<Acceptance[]> {
  const accepted = IntervalSet.empty();
  const drain: Acceptance[] = [];
  const endsMs = Date.now() + DRAIN_MS_MAX;
  let seen = before;
  while (!accepted.contains(backlog.first, backlog.last)) {
    for (const taken of log.acceptances.slice(seen)) {
      if (taken.first > backlog.last) continue;
      accepted.add(taken.first, taken.last);
      drain.push(taken);
    }
    seen = log.acceptances.length;
    if (Date.now() > endsMs) throw new Error(`${accepted.size} records accepted after ${DRAIN_MS_MAX} ms`);
    await pause(POLL_MS);
  }
  return drain;
}

/** Latencies of live records without other load. */
async function lived(traffic: Traffic, log: AgentLog, firstSeq: number, forMs: number): Promise<number[]> {
  traffic.start(firstSeq);
  await pause(forMs);
  await traffic.stop();
  await delivered(traffic, log);
  return latencies(traffic, log, 0, Number.POSITIVE_INFINITY);
}

async function delivered(traffic: Traffic, log: AgentLog): Promise<void> {
  const { first, last } = traffic.seqs;
  for (let seq = first; seq <= last; ) {
    if (log.acceptedMs(seq) === null) await pause(POLL_MS);
    else seq += 1;
  }
}

/** Latencies of the records published in that time. */
function latencies(traffic: Traffic, log: AgentLog, fromMs: number, toMs: number): number[] {
  const found: number[] = [];
  for (let seq = traffic.seqs.first; seq <= traffic.seqs.last; seq++) {
    const publishedMs = traffic.publishedMs(seq);
    const tookMs = (log.acceptedMs(seq) ?? Number.POSITIVE_INFINITY) - publishedMs;
    if (publishedMs >= fromMs && publishedMs <= toMs) found.push(tookMs);
  }
  return found;
}

function report(rounds: readonly Round[]): Measured {
  const calm = rounds.flatMap((round) => round.calm);
  const during = rounds.flatMap((round) => round.during);
  const row = (when: string, values: readonly number[]) => ({
    when,
    'live records': values.length,
    'p50 ms': quantile(values, 0.5),
    'p95 ms': quantile(values, 0.95),
    'p99 ms': quantile(values, 0.99),
    'max ms': Math.max(...values),
  });
  const rowsPerSecond = Math.round(median(rounds.map((round) => round.rowsPerSecond)));
  return {
    rows: [row('without backlog', calm), row(`while ${rowsPerSecond} rows/s drain`, during)],
    figures: {
      rows_per_s: rowsPerSecond,
      live_p99_ratio: rounded(quantile(during, 0.99) / quantile(calm, 0.99)),
      live_p99_ms: quantile(during, 0.99),
      live_p99_ms_without_backlog: quantile(calm, 0.99),
      live_p50_ratio: rounded(quantile(during, 0.5) / quantile(calm, 0.5)),
    },
  };
}
