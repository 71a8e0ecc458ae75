/**
 * A crash run: replicas of the router on one ledger, fed from a queue that delivers again, killed with
 * SIGKILL at random, one server once. At the end the ledger is compared with the generator's log, record by
 * record (I5, I6).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RouterConfig } from '../../router/config.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openLedger } from '../../router/ledger/open.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { type EngineName, startServers } from './engines.ts';
import { envelopesOf } from './feed.ts';
import { Follower } from './follow.ts';
import { configOf } from './ledger-config.ts';
import { Queue } from './queue.ts';
import { Replica } from './replicas.ts';

const GATEWAYS = 50;
const KILL_EACH_MS = 2000;
const REPORT_EACH_MS = 10_000;
/** The share of the messages that is settled when the server is killed. */
const STRIKE_AT = 0.3;

export interface CrashRun {
  engine: EngineName;
  records: number;
  replicas: number;
  seed: number;
  say: (line: string) => void;
}

export interface CrashReport {
  engine: EngineName;
  records: number;
  kills: number;
  server_kills: number;
  missing: number;
  doubled: number;
  wrong: number;
  conflicts: number;
  redelivered: number;
  verify: string;
  seconds: number;
  seed: number;
}

export async function crashRun({ engine, records, replicas, seed, say }: CrashRun): Promise<CrashReport> {
  const perGateway = Math.ceil(records / GATEWAYS);
  const queue = new Queue(envelopesOf(GATEWAYS, perGateway, seed));
  const servers = await startServers(engine);
  try {
    const ledger = await opened(servers.ledgerConfig);
    const startedMs = performance.now();
    const fleet = Array.from({ length: replicas }, () => new Replica(servers.ledgerConfig, queue));
    for (const replica of fleet) replica.start();
    const following = new Follower(GATEWAYS, perGateway).follow(ledger, () => queue.isDone);
    const progress = setInterval(
      () => say(`${queue.settled} of ${queue.total} envelopes settled, ${queue.redelivered} delivered again`),
      REPORT_EACH_MS,
    );
    const [kills] = await Promise.all([killAtRandom(fleet, queue, seed), strikeOnce(queue, servers.strike)]);
    clearInterval(progress);
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    await Promise.all(fleet.map((replica) => replica.stop()));
    const { missing, doubled, wrong, unordered } = await following;
    const { records: held, conflicts } = await ledger.totals();
    const verification = await ledger.verify();
    const incomplete = (await ledger.completeness()).filter(
      (stream) => stream.completeTo !== perGateway || stream.records !== perGateway,
    );
    await ledger.close();
    say(
      `${held} records by the ledger's count, ${unordered} out of order, ${incomplete.length} streams incomplete`,
    );
    const problems = verification.problemCount + incomplete.length + unordered;
    const counted = held === perGateway * GATEWAYS && verification.records === held;
    return {
      engine,
      records: perGateway * GATEWAYS,
      kills,
      server_kills: 1,
      missing,
      doubled,
      wrong,
      conflicts,
      redelivered: queue.redelivered,
      verify: problems === 0 && counted ? 'clean' : `${problems} problems, ${verification.records} records`,
      seconds,
      seed,
    };
  } finally {
    await servers.remove();
  }
}

export function isClean({ missing, doubled, wrong, conflicts, verify }: CrashReport): boolean {
  return missing + doubled + wrong + conflicts === 0 && verify === 'clean';
}

function opened(ledger: RouterConfig['ledger']): Promise<Ledger> {
  const log = createLogger({ level: 'silent', levels: {} });
  return openLedger(configOf(ledger), { clock: systemClock, log, role: 'router' });
}

/** Kills one replica after another until all is settled; how many. */
async function killAtRandom(fleet: readonly Replica[], queue: Queue, seed: number): Promise<number> {
  const entropy = seededEntropy(seed + 1);
  let kills = 0;
  let nextMs = performance.now() + KILL_EACH_MS;
  while (!queue.isDone) {
    await sleep(100);
    // Messages that came back wake no replica by themselves.
    for (const replica of fleet) replica.fill();
    if (performance.now() < nextMs) continue;
    if (!fleet[Math.floor(entropy.float() * fleet.length)]?.kill()) continue;
    kills += 1;
    nextMs = performance.now() + KILL_EACH_MS;
  }
  return kills;
}

async function strikeOnce(queue: Queue, strike: () => Promise<void>): Promise<void> {
  while (queue.settled < queue.total * STRIKE_AT) await sleep(50);
  await strike();
}
