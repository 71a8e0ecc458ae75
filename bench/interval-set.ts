/** Compares the interval set with two simpler sets of seen ids: a Set, and a sorted array. */
import { seededEntropy } from '../shared/entropy.ts';
import { IntervalSet } from '../shared/interval-set.ts';
import { type Bench, compare, heldBytes, type Measured, rounded } from './measure.ts';

const MILLION = 1_000_000;
/** Inserting into the middle of an array moves the rest, so the random order is kept short. */
const SHUFFLED = 20_000;
const HOLES_SHARE = 0.01;

export const bench: Bench = {
  name: 'interval-set',
  summary: 'which ids were seen: interval set, Set, sorted array',
  run,
};

async function run(): Promise<Measured> {
  const ids = sequence(100_000);
  const shuffled = shuffle(sequence(SHUFFLED));
  const gappy = withHoles(MILLION);
  const asked = shuffle(sequence(MILLION)).slice(0, 10_000);
  const interval = intervalSetOf(gappy);
  const set = new Set(gappy);
  const encoded = interval.encode();
  const json = JSON.stringify(gappy);

  const comparisons = {
    append: compare({
      interval: { operations: ids.length, run: () => intervalSetOf(ids) },
      set: { operations: ids.length, run: () => new Set<number>(ids) },
      array: { operations: ids.length, run: () => arrayOf(ids) },
    }),
    add_any_order: compare({
      interval: { operations: SHUFFLED, run: () => intervalSetOf(shuffled) },
      set: { operations: SHUFFLED, run: () => setOf(shuffled) },
      array: { operations: SHUFFLED, run: () => arrayOf(shuffled) },
    }),
    has: compare({
      interval: { operations: asked.length, run: () => count(asked, (id) => interval.has(id)) },
      set: { operations: asked.length, run: () => count(asked, (id) => set.has(id)) },
      array: { operations: asked.length, run: () => count(asked, (id) => gappy[indexIn(gappy, id)] === id) },
    }),
    contains_1000: compare({
      interval: {
        operations: asked.length,
        run: () => count(asked, (id) => interval.contains(id, id + 999)),
      },
      set: { operations: asked.length, run: () => count(asked, (id) => holdsRange(set, id, id + 999)) },
      array: {
        operations: asked.length,
        run: () => count(asked, (id) => gappy[indexIn(gappy, id) + 999] === id + 999),
      },
    }),
    encode: compare({
      interval: { operations: gappy.length, run: () => interval.encode() },
      set: { operations: gappy.length, run: () => JSON.stringify([...set]) },
      array: { operations: gappy.length, run: () => JSON.stringify(gappy) },
    }),
    decode: compare({
      interval: { operations: gappy.length, run: () => IntervalSet.decode(encoded) },
      set: { operations: gappy.length, run: () => new Set(JSON.parse(json) as number[]) },
      array: { operations: gappy.length, run: () => JSON.parse(json) },
    }),
  };
  const held = {
    interval: heldBytes(() => intervalSetOf(gappy)),
    set: heldBytes(() => new Set(gappy)),
    array: heldBytes(() => gappy.slice()),
  };
  const sizes = { interval: encoded.length, set: json.length, array: json.length };

  const rows = [
    ...Object.entries(comparisons).map(([what, times]) => row(`${what}, ns per id`, times)),
    row('memory, bytes per million ids', held),
    row('encoded, bytes per million ids', sizes),
  ];
  const figures: Record<string, number> = {};
  for (const [what, { interval, set, array }] of Object.entries(comparisons)) {
    figures[`${what}_ns`] = rounded(interval);
    figures[`${what}_vs_set`] = rounded(interval / set);
    figures[`${what}_vs_array`] = rounded(interval / array);
  }
  figures['memory_bytes_per_million'] = held.interval;
  figures['memory_vs_set'] = rounded(held.interval / held.set);
  figures['encoded_bytes_per_million'] = encoded.length;
  figures['encoded_bytes_without_holes'] = intervalSetOf(sequence(MILLION)).encode().length;
  return { rows, figures };
}

function row(what: string, { interval, set, array }: Record<'interval' | 'set' | 'array', number>) {
  return {
    what,
    'interval set': rounded(interval),
    Set: rounded(set),
    'sorted array': rounded(array),
    'vs Set': rounded(interval / set),
    'vs array': rounded(interval / array),
  };
}

function sequence(length: number): number[] {
  return Array.from({ length }, (_, i) => i + 1);
}

function shuffle(ids: number[]): number[] {
  const entropy = seededEntropy(1);
  for (let i = ids.length - 1; i > 0; i--) {
    const other = Math.floor(entropy.float() * (i + 1));
    [ids[i], ids[other]] = [ids[other] ?? 0, ids[i] ?? 0];
  }
  return ids;
}

function withHoles(length: number): number[] {
  const entropy = seededEntropy(2);
  return sequence(length).filter(() => entropy.float() >= HOLES_SHARE);
}

function intervalSetOf(ids: readonly number[]): IntervalSet {
  const set = IntervalSet.empty();
  for (const id of ids) set.add(id);
  return set;
}

function setOf(ids: readonly number[]): Set<number> {
  const set = new Set<number>();
  for (const id of ids) set.add(id);
  return set;
}

function arrayOf(ids: readonly number[]): number[] {
  const sorted: number[] = [];
  for (const id of ids) {
    if (id > (sorted.at(-1) ?? 0)) sorted.push(id);
    else sorted.splice(indexIn(sorted, id), 0, id);
  }
  return sorted;
}

/** The index of an id in a sorted array, or of its place. */
function indexIn(sorted: readonly number[], id: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function holdsRange(set: ReadonlySet<number>, first: number, last: number): boolean {
  for (let id = first; id <= last; id++) if (!set.has(id)) return false;
  return true;
}

function count(ids: readonly number[], test: (id: number) => boolean): number {
  let found = 0;
  for (const id of ids) if (test(id)) found += 1;
  return found;
}
