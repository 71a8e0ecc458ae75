/**
 * Memory of the agent (VmRSS of proc_pid_status(5), MB = 10^6 bytes): at 2,000 messages/s, with 1,000,000
 * buffered records that no provider may take, and all others going to a cloud over its real SDK; then for
 * half an hour while clients connect and disconnect.
 */
import { readFileSync } from 'node:fs';
import { connectAsync } from 'mqtt';
import { startClouds } from './load/clouds.ts';
import { freePort, type LoadShape, load, pause, Workshop } from './load/programs.ts';
import { type Bench, type Measured, median, rounded } from './measure.ts';

/** `HEADGATE_BENCH_MINUTES` sets a shorter time. */
const CHURN_MINUTES = Number(process.env['HEADGATE_BENCH_MINUTES'] ?? 30);
const HELD_RECORDS = 1_000_000;
const STEADY_SECONDS = 90;
const WARM_UP_SECONDS = 30;
const RATE = 2000;
const LIVE: Omit<LoadShape, 'messages'> = {
  clients: 50,
  window: 20,
  payloadBytes: 100,
  rate: RATE,
  site: 'live',
};
const SAMPLE_MS = 1000;
const CHURN_CLIENTS = 10;
const HOUR_MS = 3_600_000;

/** Records under `held` may go only to a disabled provider. */
const POLICY = {
  compliance: { data_residency: { moon: ['moon-1'] } },
  streams: {
    held: { topics: ['held/#'], data_residency: 'moon' },
    live: { topics: ['#'] },
  },
};
const ELSEWHERE = {
  name: 'elsewhere',
  type: 'mqtt',
  region: 'moon-1',
  url: 'mqtt://127.0.0.1:9',
  enabled: false,
};

interface Sample {
  atMs: number;
  megabytes: number;
}

export const bench: Bench = {
  name: 'footprint',
  summary: `memory with ${HELD_RECORDS} records buffered, ${RATE} messages/s and a cloud; ${CHURN_MINUTES} min of clients that come and go`,
  async run(): Promise<Measured> {
    const shop = new Workshop();
    try {
      return await measured(shop);
    } finally {
      await shop.close();
    }
  },
};

async function measured(shop: Workshop): Promise<Measured> {
  const program = shop.compile('mqtt-load.c');
  const clouds = await startClouds(shop);
  const port = await freePort();
  const agent = await shop.agent(
    'footprint',
    POLICY,
    port,
    {},
    {
      providers: [clouds.provider('aws'), ELSEWHERE],
      bin: await shop.installed(),
    },
  );
  const samples: Sample[] = [];
  const sampling = setInterval(
    () => samples.push({ atMs: performance.now(), megabytes: residentMegabytes(agent.pid ?? 0) }),
    SAMPLE_MS,
  );
  try {
    await load(program, port, {
      ...LIVE,
      clients: 10,
      window: 100,
      rate: 0,
      messages: HELD_RECORDS,
      site: 'held',
    });
    console.error(`footprint: ${HELD_RECORDS} records buffered`);
    const live = (seconds: number) => load(program, port, { ...LIVE, messages: RATE * seconds });
    await live(WARM_UP_SECONDS);
    const steadyFromMs = performance.now();
    const { p99_ms } = await live(STEADY_SECONDS);
    const steady = samples.filter(({ atMs }) => atMs >= steadyFromMs).map(({ megabytes }) => megabytes);
    console.error(`footprint: ${median(steady)} MB while steady`);
    const churn = await churned(port, live, samples);
    return {
      rows: [
        { phase: 'steady, median', MB: rounded(median(steady)) },
        { phase: 'steady, most', MB: rounded(Math.max(...steady)) },
        { phase: `clients come and go, first minute`, MB: churn.first },
        { phase: `the same, last minute`, MB: churn.last },
      ],
      figures: {
        rss_mb: rounded(median(steady)),
        rss_max_mb: rounded(Math.max(...steady)),
        p99_ms,
        churn_minutes: CHURN_MINUTES,
        churn_connections: churn.connections,
        churn_first_mb: churn.first,
        churn_last_mb: churn.last,
        churn_slope_mb_per_hour: churn.slope,
      },
    };
  } finally {
    clearInterval(sampling);
  }
}

/**
 * Clients connect, subscribe, publish, and disconnect, half of them without DISCONNECT, under continuous
 * load.
 */
async function churned(
  port: number,
  live: (seconds: number) => Promise<unknown>,
  samples: Sample[],
): Promise<{ first: number; last: number; slope: number; connections: number }> {
  const startMs = performance.now();
  const endMs = startMs + CHURN_MINUTES * 60_000;
  let connections = 0;
  const loaded = (async () => {
    while (performance.now() < endMs) await live(Math.min(30, CHURN_MINUTES * 60));
  })();
  const comeAndGo = async (index: number): Promise<void> => {
    while (performance.now() < endMs) {
      connections += 1;
      const clean = connections % 3 !== 0;
      const clientId = clean ? `churn-${connections}` : `churn-kept-${index}-${connections % 20}`;
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
        clientId,
        clean,
        protocolVersion: 4,
        reconnectPeriod: 0,
      });
      await client.subscribeAsync([`churn/${index}/#`, 'churn/all'], { qos: 1 });
      await client.publishAsync(`churn/${index}/state`, `{"n":${connections}}`, {
        qos: 1,
        retain: index === 0,
      });
      if (connections % 2 === 0) await client.endAsync();
      else client.stream.destroy();
      await pause(50);
    }
  };
  await Promise.all([loaded, ...Array.from({ length: CHURN_CLIENTS }, (_, index) => comeAndGo(index))]);
  const during = samples.filter(({ atMs }) => atMs >= startMs && atMs <= endMs);
  const minute = (from: number) =>
    rounded(
      median(
        during.filter(({ atMs }) => atMs >= from && atMs < from + 60_000).map(({ megabytes }) => megabytes),
      ),
    );
  return {
    first: minute(startMs),
    last: minute(endMs - 60_000),
    slope: rounded(slopePerHour(during.filter(({ atMs }) => atMs >= (startMs + endMs) / 2))),
    connections,
  };
}

/** Slope by least squares. */
function slopePerHour(samples: readonly Sample[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const hours = samples.map(({ atMs }) => atMs / HOUR_MS);
  const [x, y] = [mean(hours), mean(samples.map(({ megabytes }) => megabytes))];
  const above = samples.reduce((sum, { megabytes }, i) => sum + ((hours[i] ?? 0) - x) * (megabytes - y), 0);
  const below = hours.reduce((sum, hour) => sum + (hour - x) ** 2, 0);
  return below === 0 ? 0 : above / below;
}

function residentMegabytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(found?.[1]) * 1024) / 1e6;
}
