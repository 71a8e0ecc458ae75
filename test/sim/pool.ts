/** Runs many worlds on a few threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { shouldRunTwice } from './seeds.ts';
import type { WorldOptions, WorldResult } from './world.ts';

const WORKER = new URL('./worker.ts', import.meta.url);
const YOUNG_GENERATION_MB = 64;

export interface PoolOptions {
  worlds: readonly WorldOptions[];
  threads: number;
  /** Return false to begin no more. */
  onResult: (result: WorldResult) => boolean;
}

export async function runPool({ worlds, threads, onResult }: PoolOptions): Promise<void> {
  const pending = [...worlds];
  let goesOn = true;
  const thread = async (): Promise<void> => {
    const worker = new Worker(WORKER, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    try {
      for (let next = pending.shift(); goesOn && next; next = pending.shift()) {
        const result = await run(worker, next);
        if (shouldRunTwice(next.seed)) sameTwice(result, await run(worker, next));
        if (!onResult(result)) goesOn = false;
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, worlds.length) }, thread));
}

async function run(worker: Worker, world: WorldOptions): Promise<WorldResult> {
  worker.postMessage(world);
  const [result]: WorldResult[] = await once(worker, 'message');
  if (!result) throw new Error('the worker answered nothing');
  return result;
}

/** One seed is one run (I11). */
function sameTwice(first: WorldResult, second: WorldResult): void {
  if (first.digest === second.digest) return;
  const what = `two runs of the seed differ: ${first.digest}, ${second.digest}`;
  first.violations.push({ invariant: 'I11', atMs: 0, what });
}
