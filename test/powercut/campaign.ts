/** Many cuts over several chains of lives, a chain on each core. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { seededEntropy } from '../../shared/entropy.ts';
import type { Chain, Report } from './chain.ts';
import { compileRecorder, type Synchronous } from './record.ts';

const CUTS_PER_CHAIN = 600;
const CHAINS_MIN = 2;
/** The chains take turns. */
const COURSES = ['steady', 'damaged', 'steady', 'deep'] as const;
const SCRATCH_BYTES_MIN = 2 ** 30;

/** The result line. */
export interface Totals {
  cuts: number;
  /** Acknowledged records that had to be there, summed over all cuts. */
  acked: number;
  lost: number;
  unstartable: number;
}

export interface Campaign {
  cuts: number;
  seed: number;
  synchronous: Synchronous;
  /** Called after each cut. */
  onCut: (totals: Totals, report: Report) => void;
}

/** Keeps the recordings of a campaign under FULL that found something: such a cut is repeated from them. */
export async function cutMany({ cuts, seed, synchronous, onCut }: Campaign): Promise<Totals> {
  const scratch = scratchFolder();
  let keep = false;
  const totals: Totals = { cuts: 0, acked: 0, lost: 0, unstartable: 0 };
  const count = (report: Report): void => {
    const { acked, lost, unstartable } = report.inspection;
    totals.cuts += 1;
    keep ||= synchronous === 'FULL' && report.inspection.problems.length > 0;
    totals.acked += acked;
    totals.lost += lost;
    totals.unstartable += unstartable ? 1 : 0;
    onCut(totals, report);
  };
  try {
    const library = compileRecorder(scratch);
    const chains = plan(cuts, seed).map(
      (chain): Chain => ({ ...chain, library, synchronous, folder: join(scratch, `${chain.seed}`) }),
    );
    const next = async (): Promise<void> => {
      for (let chain = chains.shift(); chain; chain = chains.shift()) await runChain(chain, count);
    };
    // All of them end before the scratch goes, also when one fails.
    const ended = await Promise.allSettled(Array.from({ length: availableParallelism() }, next));
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  } finally {
    if (!keep) rmSync(scratch, { recursive: true });
  }
  return totals;
}

function plan(cuts: number, seed: number): Array<Pick<Chain, 'seed' | 'cuts' | 'course'>> {
  const entropy = seededEntropy(seed);
  const length = Math.max(CHAINS_MIN, Math.ceil(cuts / CUTS_PER_CHAIN));
  return Array.from({ length }, (_, i) => ({
    seed: Math.floor(entropy.float() * 2 ** 32),
    cuts: Math.floor(cuts / length) + (i < cuts % length ? 1 : 0),
    course: COURSES[i % COURSES.length] ?? 'steady',
  }));
}

function runChain(chain: Chain, onReport: (report: Report) => void): Promise<void> {
  mkdirSync(chain.folder);
  const worker = new Worker(new URL('./chain.ts', import.meta.url), { workerData: chain });
  return new Promise((resolve, reject) => {
    worker.on('message', onReport);
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
}

/**
 * In memory where there is room: the model says what a sync keeps, so nothing is to be had from a real disk
 * here.
 */
function scratchFolder(): string {
  return realpathSync(mkdtempSync(join(hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), 'headgate-powercut-')));
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= SCRATCH_BYTES_MIN;
  } catch {
    return false; // Not on every system.
  }
}
