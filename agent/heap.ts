/** How much memory the garbage of a busy agent may take before it is collected. */
import { setFlagsFromString } from 'node:v8';

const GROWTH_PERCENT = 20;

/**
 * V8 lets the heap grow by what the machine has: on a large one to several times what is in use, for no gain in speed that a
 * measurement shows (docs/benchmarks.md, footprint). It reads this flag at each collection, so that it may be set while it runs;
 * for the store's thread too.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
