/** A failing world made small: fewer gateways, a shorter time, fewer faults, as long as it still fails. */
import { planFor, runWorld, type WorldOptions, type WorldResult } from './world.ts';

/** Worlds tried, at most (I10). */
const TRIES_MAX = 80;
const DAY_MS = 86_400_000;

export interface Shrunk {
  options: WorldOptions;
  result: WorldResult;
}

export async function shrink(failing: Shrunk): Promise<Shrunk> {
  let best = failing;
  let tries = 0;
  const still = async (options: WorldOptions): Promise<boolean> => {
    if (tries >= TRIES_MAX) return false;
    tries += 1;
    const result = await runWorld(options);
    if (result.violations.length === 0) return false;
    best = { options, result };
    return true;
  };
  for (let gateways = 1; gateways < planFor(best.options).gateways; gateways += 1) {
    if (await still({ ...best.options, gateways })) break;
  }
  const atMs = best.result.violations[0]?.atMs ?? Number.POSITIVE_INFINITY;
  const days = Math.ceil((atMs / DAY_MS) * 1000 + 1) / 1000;
  if (days < best.options.days) await still({ ...best.options, days });
  await withoutFaults(() => best.options, still);
  return best;
}

/** Leaves out halves, then quarters, down to single faults. */
async function withoutFaults(
  options: () => WorldOptions,
  still: (options: WorldOptions) => Promise<boolean>,
): Promise<void> {
  let faults = planFor(options()).indexes;
  for (let size = Math.ceil(faults.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < faults.length; ) {
      const rest = [...faults.slice(0, from), ...faults.slice(from + size)];
      if (await still({ ...options(), faults: rest })) faults = rest;
      else from += size;
    }
  }
}

/** The command that runs the same world again. */
export function replayCommand({ seed, days, gateways, faults }: WorldOptions): string {
  const parts = [`npm run sim -- --seed ${seed} --seeds 1 --days ${days}`];
  if (gateways !== undefined) parts.push(`--gateways ${gateways}`);
  if (faults !== undefined) parts.push(`--faults ${faults.length > 0 ? faults.join(',') : 'none'}`);
  return parts.join(' ');
}
