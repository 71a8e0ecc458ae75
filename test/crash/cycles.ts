/**
 * Kill after kill. A folder serves twenty lives of the agent and is then replaced, so that neither the buffer
 * nor the list of what was acknowledged grows without bound; every fifth kill, what is in it is compared with
 * what devices were told.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fiveFreePorts } from '../../demo/http.ts';
import { systemClock } from '../../shared/clock.ts';
import { type Entropy, seededEntropy, systemEntropy } from '../../shared/entropy.ts';
import { until } from '../until.ts';
import { type AgentFolder, AgentProcess, bufferFileIn, writeConfig } from './agent-process.ts';
import { Checker } from './checker.ts';
import { Fleet } from './fleet.ts';
import type { KillInstant, Tally } from './report.ts';

const CYCLES_PER_FOLDER = 20;
const CYCLES_PER_CHECK = 5;
/** Kills after a life's first acknowledgement are spread over this. */
const LIFE_MS_MAX = 500;
/** Every fifth kill, about, falls into the start-up: opening the file, beginning the epoch. */
const STARTUP_SHARE = 0.2;
const STARTUP_MS_MAX = 1200;

/** Returns the folder of an agent that broke a promise, null when none did. */
export async function runCycles(
  cycles: number,
  entropy: Entropy,
  tally: Tally,
  say: (line: string) => void,
): Promise<string | null> {
  for (let done = 0; done < cycles; done += CYCLES_PER_FOLDER) {
    const dir = mkdtempSync(join(tmpdir(), 'headgate-crash-'));
    await runFolder(dir, Math.min(CYCLES_PER_FOLDER, cycles - done), entropy, tally, say);
    if (tally.failed) return dir;
    rmSync(dir, { recursive: true });
  }
  return null;
}

async function runFolder(
  dir: string,
  cycles: number,
  entropy: Entropy,
  tally: Tally,
  say: (line: string) => void,
): Promise<void> {
  const [broker, admin, one, two] = await fiveFreePorts(systemEntropy);
  const folder: AgentFolder = { dir, ports: { broker, admin, providers: [one, two] } };
  mkdirSync(join(dir, 'data'));
  writeConfig(folder);
  const instants = Array.from({ length: cycles }, (_, i) => killInstant(entropy, i + 1 === cycles));
  const checker = new Checker(bufferFileIn(dir));
  // Its own entropy: the number of publishes depends on the machine, the instants of the kills must not.
  const fleet = new Fleet({ port: broker, entropy: seededEntropy(Math.floor(entropy.float() * 2 ** 32)) });
  try {
    for (const [i, instant] of instants.entries()) {
      const agent = new AgentProcess(folder, systemClock);
      tally.killed(instant, await liveAndDie(agent, instant, fleet));
      if (agent.epoch !== null) checker.began(agent.epoch);
      if ((i + 1) % CYCLES_PER_CHECK !== 0 && i + 1 < cycles) continue;
      tally.found(checker.check(fleet.acknowledged));
      say(tally.progress());
      if (tally.failed) return;
    }
    tally.folderDone();
  } finally {
    await fleet.stop();
  }
}

/**
 * The first kills of a folder may come before there is a file: that is a start-up too. The last one comes
 * when something was acknowledged.
 */
function killInstant(entropy: Entropy, isLast: boolean): KillInstant {
  const isEarly = entropy.float() < STARTUP_SHARE;
  const after = isEarly && !isLast ? 'spawn' : 'acknowledgement';
  const spanMs = after === 'spawn' ? STARTUP_MS_MAX : LIFE_MS_MAX;
  return { after, delayMs: Math.floor(entropy.float() * spanMs) };
}

/**
 * Resolves with the start-up time in milliseconds, null when the agent was killed before it was ready or
 * measured.
 */
async function liveAndDie(
  agent: AgentProcess,
  { after, delayMs }: KillInstant,
  { acknowledged }: Fleet,
): Promise<number | null> {
  try {
    const told = acknowledged.size;
    const startupMs = after === 'acknowledgement' ? await agent.untilReady() : null;
    if (startupMs !== null) await until('a device is told of a record', () => acknowledged.size > told);
    await systemClock.sleep(delayMs);
    return startupMs;
  } finally {
    await agent.kill();
  }
}
