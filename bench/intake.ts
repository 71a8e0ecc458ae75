/**
 * Durable QoS 1 intake, with fsync before PUBACK, compared with the same broker without a disk, mosquitto
 * without a disk, and one commit per message. The load comes from another process, in C; its CPU share is
 * reported, to show that it is not the bottleneck.
 */

import { freePort, type Load, type LoadShape, load, Workshop } from './load/programs.ts';
import { type Bench, type Measured, median, type Options, rounded } from './measure.ts';

/** Warm-up until V8 has compiled the hot code: the agent's path is longer than that of aedes alone. */
const WARM_UP_ROUNDS = 3;
const ROUNDS = 10;
/** Rounds of the paced runs; the first is warm-up. */
const REPEATS = 6;
const FULL_SPEED = { clients: 50, window: 20, payloadBytes: 100, rate: 0 };
const MESSAGES = {
  durable: 150_000,
  aedes: 150_000,
  mosquitto: 150_000,
  commit_each: 15_000,
  mosquitto_sqlite: 50_000,
};
const PACED: LoadShape = { ...FULL_SPEED, messages: 10_000, rate: 2000 };
const SLOW_FSYNC_MS = 20;
const SLOW: LoadShape = { ...FULL_SPEED, messages: 100_000 };

type Name = keyof typeof MESSAGES;

export const bench: Bench = {
  name: 'intake',
  summary: 'durable QoS 1 intake, 50 clients, window 20, 100-byte JSON, against brokers that keep nothing',
  options: {
    'mosquitto-build': {
      takes: 'DIR',
      is: 'measures mosquitto 2.1 on SQLite as well, from where it was built',
    },
  },
  async run({ 'mosquitto-build': build }: Options): Promise<Measured> {
    const shop = new Workshop();
    try {
      return await measured(shop, typeof build === 'string' ? build : undefined);
    } finally {
      await shop.close();
    }
  },
};

async function measured(shop: Workshop, build: string | undefined): Promise<Measured> {
  const program = shop.compile('mqtt-load.c');
  const slowDisk = shop.compile('slow-fsync.c', ['-shared', '-fPIC']);
  const port = {
    durable: await freePort(),
    aedes: await freePort(),
    mosquitto: await freePort(),
    commit_each: await freePort(),
    mosquitto_sqlite: await freePort(),
  };
  const here = (file: string): string => new URL(`./load/${file}`, import.meta.url).pathname;
  await shop.agent('durable', {}, port.durable);
  await shop.node([here('bare-aedes.ts'), String(port.aedes)], port.aedes);
  await shop.mosquitto(port.mosquitto);
  await shop.node(
    [here('commit-each.ts'), String(port.commit_each), `${shop.folder}/each.db`],
    port.commit_each,
  );
  if (build !== undefined) await shop.mosquittoSqlite(build, port.mosquitto_sqlite);
  const all = Object.keys(MESSAGES) as Name[];
  const names = all.filter((name) => name !== 'mosquitto_sqlite' || build !== undefined);
  const runs = new Map<Name, Load[]>(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      const result = await load(program, port[name], { ...FULL_SPEED, messages: MESSAGES[name] });
      if (round >= WARM_UP_ROUNDS) runs.get(name)?.push(result);
      console.error(`round ${round} ${name}: ${result.msg_s} messages/s`);
    }
    names.push(...names.splice(0, 1));
  }
  const paced = await repeated(() => load(program, port.durable, PACED));
  const slowPort = await freePort();
  await shop.agent('slow', {}, slowPort, { LD_PRELOAD: slowDisk, HEADGATE_FSYNC_MS: String(SLOW_FSYNC_MS) });
  const slow = await repeated(() => load(program, slowPort, SLOW));
  return report(runs, paced, slow);
}

async function repeated(run: () => Promise<Load>): Promise<Load[]> {
  const results: Load[] = [];
  for (let i = 0; i < REPEATS; i++) results.push(await run());
  return results.slice(1);
}

function report(runs: ReadonlyMap<Name, Load[]>, paced: Load[], slow: Load[]): Measured {
  const of = (results: readonly Load[], key: keyof Load): number =>
    median(results.map((result) => result[key]));
  const speed = (name: Name): number => of(runs.get(name) ?? [], 'msg_s');
  const row = (what: string, results: readonly Load[]) => ({
    broker: what,
    'messages/s': Math.round(of(results, 'msg_s')),
    'p50 ms': rounded(of(results, 'p50_ms')),
    'p99 ms': rounded(of(results, 'p99_ms')),
    'load CPU': rounded(median(results.map(({ cpu_seconds, seconds }) => cpu_seconds / seconds))),
  });
  const durable = runs.get('durable') ?? [];
  return {
    rows: [
      ...[...runs].map(([name, results]) => row(name, results)),
      row('durable, 2,000/s', paced),
      row(`durable, fsync + ${SLOW_FSYNC_MS} ms`, slow),
    ],
    figures: {
      durable_vs_aedes: rounded(speed('durable') / speed('aedes')),
      durable_vs_mosquitto: rounded(speed('durable') / speed('mosquitto')),
      durable_vs_commit_each: rounded(speed('durable') / speed('commit_each')),
      ...(runs.has('mosquitto_sqlite')
        ? { durable_vs_mosquitto_sqlite: rounded(speed('durable') / speed('mosquitto_sqlite')) }
        : {}),
      p99_ms_at_2000: rounded(of(paced, 'p99_ms')),
      slow_disk_msg_s: Math.round(of(slow, 'msg_s')),
      slow_disk_p99_ms: rounded(of(slow, 'p99_ms')),
      load_cpu_share: rounded(median(durable.map(({ cpu_seconds, seconds }) => cpu_seconds / seconds))),
    },
  };
}
