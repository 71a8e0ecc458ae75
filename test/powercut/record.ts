/** Runs the workload under recorder.c. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Disk } from './disk.ts';
import { type Entry, MARKS, prologue, readTrace } from './trace.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** FULL is what agent/store sets. NORMAL is there to show that the check finds what it is looking for. */
export type Synchronous = 'FULL' | 'NORMAL';

/**
 * Compiles recorder.c into `folder` and returns the library. Throws, with how to get a compiler, where there
 * is none.
 */
export function compileRecorder(folder: string): string {
  const library = join(folder, 'recorder.so');
  const options = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-shared', '-fPIC'];
  try {
    execFileSync('cc', [...options, '-o', library, here('./recorder.c'), '-ldl', '-lpthread'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (missing) throw new Error('there is no C compiler (cc): apt-get install gcc libc6-dev');
    throw error;
  }
  return library;
}

export interface Life {
  library: string;
  /**
   * The folder that the store has, as it was found after the cut before; marks included. Created if missing.
   */
  folder: string;
  trace: string;
  seed: number;
  firstNumber: number;
  course: 'steady' | 'deep';
  synchronous: Synchronous;
}

/**
 * Records one life and returns all of the trace. Throws when the trace does not lead to the files that are
 * there.
 */
export function recordLife({
  library,
  folder,
  trace,
  seed,
  firstNumber,
  course,
  synchronous,
}: Life): Entry[] {
  mkdirSync(folder, { recursive: true });
  const recorded = realpathSync(folder);
  if (!existsSync(join(folder, MARKS))) writeFileSync(join(folder, MARKS), '');
  appendFileSync(trace, prologue(folder));
  const lowered = synchronous === 'NORMAL' ? ['--import', here('./lower-synchronous.ts')] : [];
  const workload = [here('./workload.ts'), recorded, String(seed), String(firstNumber), course];
  execFileSync(process.execPath, [...lowered, ...workload], {
    env: { ...process.env, LD_PRELOAD: library, RECORDER_FOLDER: recorded, RECORDER_TRACE: trace },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const entries = readTrace(trace);
  assertComplete(entries, folder);
  return entries;
}

function assertComplete(entries: readonly Entry[], folder: string): void {
  const disk = new Disk();
  for (const entry of entries) disk.apply(entry);
  const seen = disk.seen();
  const names = readdirSync(folder).filter((name) => name !== MARKS);
  const wrong = names.filter((name) => !seen.get(name)?.equals(readFileSync(join(folder, name))));
  if (wrong.length > 0 || names.length !== seen.size) {
    const found = `${names.join(' ')} are there, recorded were ${[...seen.keys()].join(' ')}`;
    throw new Error(`the recording misses something: ${wrong.join(' ')} differ; ${found}`);
  }
}
