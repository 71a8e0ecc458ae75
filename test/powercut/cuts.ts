/**
 * Power cuts in one recorded life. A cut is its seed: when it comes and what the disk kept follow from it and
 * the trace.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededEntropy } from '../../shared/entropy.ts';
import { Disk } from './disk.ts';
import { Expected } from './expected.ts';
import { type Inspection, inspect } from './inspect.ts';
import { type Entry, MARKS } from './trace.ts';

interface Cut {
  seed: number;
  /** The entry that did not happen any more. */
  at: number;
}

/** Cuts the power once for each seed and gives each inspection, in the order in which the cuts fall. */
export function* cutAll(
  entries: readonly Entry[],
  seeds: readonly number[],
  folder: string,
): Generator<{ seed: number; inspection: Inspection }> {
  const moments = momentsOf(entries);
  const cuts = seeds.map((seed): Cut => ({ seed, at: momentOf(seed, moments) }));
  const disk = new Disk();
  const expected = new Expected();
  let next = 0;
  for (const { seed, at } of cuts.sort((a, b) => a.at - b.at)) {
    for (; next < at; next++) take(entries[next], disk, expected);
    placeFiles(disk.lost(seededEntropy(seed)), folder);
    yield { seed, inspection: inspect(folder, expected) };
  }
}

/**
 * Puts into `folder` what the cut left, with all that the workload had said by then: the start of another
 * life.
 */
export function cutForNextLife(entries: readonly Entry[], seed: number, folder: string): void {
  const disk = new Disk();
  const lines: string[] = [];
  for (const entry of entries.slice(0, momentOf(seed, momentsOf(entries)))) {
    disk.apply(entry);
    if (entry.kind === 'mark') lines.push(entry.line);
  }
  placeFiles(disk.lost(seededEntropy(seed)), folder);
  writeFileSync(join(folder, MARKS), lines.map((line) => `${line}\n`).join(''));
}

function take(entry: Entry | undefined, disk: Disk, expected: Expected): void {
  if (entry?.kind === 'mark') expected.apply(entry.line);
  if (entry) disk.apply(entry);
}

/**
 * Where the power may go: before each change of this life. What was said since the change before it holds.
 */
function momentsOf(entries: readonly Entry[]): number[] {
  const begin = entries.findLastIndex((entry) => entry.kind === 'mark' && entry.line === '{"say":"begin"}');
  return entries.flatMap((entry, at) => (at > begin && entry.kind !== 'mark' ? [at] : []));
}

function momentOf(seed: number, moments: readonly number[]): number {
  // A stream of its own: the disk's choices must not depend on the moment's.
  return moments[Math.floor(seededEntropy(seed ^ 0x5bd1e995).float() * moments.length)] ?? 0;
}

function placeFiles(files: ReadonlyMap<string, Buffer>, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, data] of files) writeFileSync(join(folder, name), data);
}
