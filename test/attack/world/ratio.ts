/** A quiet run and a run under attack of the same process, in turns, so that a slow machine slows both. */
const ROUNDS = 5;

/**
 * The median of `measure` under attack over its median in quiet. `attack` goes on until the signal aborts,
 * and calls `begun` once it is in force.
 */
export async function ratio(
  measure: () => Promise<number[]>,
  attack: (signal: AbortSignal, begun: () => void) => Promise<void>,
): Promise<number> {
  const quiet: number[] = [];
  const attacked: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    quiet.push(...(await measure()));
    const over = new AbortController();
    const { promise: isBegun, resolve: begun } = Promise.withResolvers<void>();
    const attacking = attack(over.signal, begun);
    await Promise.race([isBegun, attacking]);
    attacked.push(...(await measure()));
    over.abort();
    await attacking;
  }
  return Math.round((10 * median(attacked)) / median(quiet)) / 10;
}

/** How long each of `times` calls took, one after the other, in milliseconds. */
export async function latencies(times: number, call: () => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < times; i += 1) {
    const startedMs = performance.now();
    await call();
    took.push(performance.now() - startedMs);
  }
  return took;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
