/**
 * Fault drills with real processes: an agent and the loopback clouds, a device that publishes steadily, and
 * repeated faults at the provider in use. bench/load/drill.ts defines the measurements.
 */
import { AgentLog, LOG_FOR_BENCH } from './load/agent-log.ts';
import { type CloudName, type Clouds, startClouds } from './load/clouds.ts';
import { type Drill, drill, type FaultPlan } from './load/drill.ts';
import { freePort, pause, Workshop } from './load/programs.ts';
import { Traffic } from './load/traffic.ts';
import { type Bench, type Measured, type Options, quantile } from './measure.ts';

const RUNS = 30;
const RATE = 50;
const CLOUDS: readonly CloudName[] = ['aws', 'azure', 'gcp'];
const WARM_UP_MS = 10_000;
/** Warm-up until the latencies of the first connections have left the window of usual latencies. */
const CREEPING_WARM_UP_MS = 90_000;
/** Short times, so that the next drill need not wait: none of them affects the detection of an outage. */
const FAILOVER = { dwell: '2s', open_max: '2s', standby_probe: '5s' };

const PLANS = {
  refuse: { fault: { fault: 'refuse' }, lastsMs: 2000, creeping: false },
  error: { fault: { fault: 'error' }, lastsMs: 2000, creeping: false },
  blackhole: { fault: { fault: 'blackhole' }, lastsMs: 4000, creeping: false },
  flap: { fault: { fault: 'flap', periodMs: 1000 }, lastsMs: 6000, creeping: false },
  'slow-ramp': {
    fault: { fault: 'slow-ramp', latencyMs: 1500, jitterMs: 100, periodMs: 8000 },
    lastsMs: 30_000,
    creeping: true,
  },
} as const satisfies Record<string, FaultPlan>;

type FaultName = keyof typeof PLANS;

interface Phase {
  hedging: 'on' | 'off';
  policy: object;
  faults: readonly FaultName[];
}

export const bench: Bench = {
  name: 'failover',
  summary: `fault drills at the provider in use, ${RUNS} of each kind`,
  options: {
    runs: { takes: 'N', default: String(RUNS), is: 'drills of each kind' },
    faults: { takes: 'LIST', default: Object.keys(PLANS).join(','), is: 'kinds, with commas between them' },
  },
  async run(options: Options): Promise<Measured> {
    const runs = Number(options['runs']);
    const names = String(options['faults']).split(',');
    const faults = (Object.keys(PLANS) as FaultName[]).filter((name) => names.includes(name));
    if (!(runs >= 1) || faults.length !== names.length) {
      throw new Error(`--runs is a number, --faults some of ${Object.keys(PLANS).join(',')}`);
    }
    const shop = new Workshop();
    try {
      const bin = await shop.installed();
      const clouds = await startClouds(shop, bin);
      const drills: Array<[Phase['hedging'], FaultName, Drill[]]> = [];
      for (const phase of phasesOf(faults)) {
        console.error(`failover: hedging ${phase.hedging}`);
        const results = await drilled(shop, bin, clouds, phase, runs);
        for (const [fault, done] of results) drills.push([phase.hedging, fault, done]);
      }
      return report(drills);
    } finally {
      await shop.close();
    }
  },
};

/**
 * One agent per phase. Slowness is drilled apart, because breakers that opened lower a provider's score for
 * ten minutes; the black hole is drilled again without hedging.
 */
function phasesOf(faults: readonly FaultName[]): Phase[] {
  const phases: Phase[] = [
    { hedging: 'on', policy: {}, faults: faults.filter((fault) => !PLANS[fault].creeping) },
    { hedging: 'on', policy: {}, faults: faults.filter((fault) => PLANS[fault].creeping) },
    {
      hedging: 'off',
      policy: { hedge: { enabled: false } },
      faults: faults.filter((fault) => fault === 'blackhole'),
    },
  ];
  return phases.filter((phase) => phase.faults.length > 0);
}

async function drilled(
  shop: Workshop,
  bin: string,
  clouds: Clouds,
  phase: Phase,
  runs: number,
): Promise<Map<FaultName, Drill[]>> {
  const log = new AgentLog();
  const port = await freePort();
  const name = `agent-${port}`;
  const policy = { failover: FAILOVER, ...phase.policy };
  const providers = CLOUDS.map((cloud) => clouds.provider(cloud));
  const onLine = (line: string): void => log.read(line);
  const agent = await shop.agent(name, policy, port, {}, { providers, bin, log: LOG_FOR_BENCH, onLine });
  const traffic = await Traffic.connect(port, RATE);
  traffic.start(1);
  const isCreeping = phase.faults.some((fault) => PLANS[fault].creeping);
  await pause(isCreeping ? CREEPING_WARM_UP_MS : WARM_UP_MS);
  const results = new Map<FaultName, Drill[]>();
  for (const fault of phase.faults) {
    const done: Drill[] = [];
    results.set(fault, done);
    for (let run = 1; run <= runs; run++) {
      const result = await drill({ log, traffic, clouds, names: CLOUDS }, PLANS[fault]);
      if (!result) {
        console.error(`${fault}: the providers do not get well again; ${done.length} of ${runs} runs count`);
        break;
      }
      done.push(result);
      console.error(`${fault} ${run}: ${JSON.stringify(result)}`);
    }
  }
  await traffic.stop();
  await traffic.end();
  agent.kill('SIGTERM');
  return results;
}

function report(drills: ReadonlyArray<[Phase['hedging'], FaultName, Drill[]]>): Measured {
  const rows: Array<Record<string, string | number>> = [];
  const figures: Record<string, number> = {};
  for (const [hedging, fault, done] of drills) {
    if (done.length === 0) continue;
    const label = hedging === 'on' || fault !== 'blackhole' ? fault : `${fault}_no_hedge`;
    const name = label.replace('-', '_');
    const row: Record<string, string | number> = { fault, hedging, runs: done.length };
    for (const what of ['detected', 'recovered'] as const) {
      // A value that never came counts as the worst.
      const values = done.map((one) => one[`${what}Ms`] ?? Number.POSITIVE_INFINITY);
      const spread = { p50: quantile(values, 0.5), p95: quantile(values, 0.95), max: Math.max(...values) };
      row[`${what}_ms p50/p95/max`] = Object.values(spread).join(' / ');
      figures[`${name}_${what}_p50_ms`] = spread.p50;
      figures[`${name}_${what}_p95_ms`] = spread.p95;
      figures[`${name}_${what}_max_ms`] = spread.max;
    }
    const mean = (pick: (one: Drill) => number): number =>
      Math.round((done.reduce((sum, one) => sum + pick(one), 0) / done.length) * 100) / 100;
    row['switches/run'] = figures[`${name}_switches_per_run`] = mean(({ switches }) => switches);
    row['extra publishes/run'] = figures[`${name}_extra_per_run`] = mean(({ extra }) => extra);
    row['of these doubled'] = figures[`${name}_doubled_per_run`] = mean(({ doubled }) => doubled);
    rows.push(row);
  }
  return { rows, figures };
}
