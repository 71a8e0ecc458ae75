/** Runs one test file in a process of its own and reads the TAP that it prints. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A machine so busy that a file needs longer is not busy: the file hangs. */
export const FILE_MS_MAX = 600_000;

/**
 * Compiled modules are kept for the next file and for the processes that a test starts: parsing the vendors'
 * SDKs and stripping types takes longer than most tests.
 */
export const COMPILE_CACHE = `${ROOT}.tap/compile-cache`;

export interface FileResult {
  file: string;
  passed: number;
  failed: number;
  skipped: number;
  tookMs: number;
  /** Why the file failed; null when it passed. */
  failure: string | null;
  output: string;
}

const running = new Set<ChildProcess>();

const TAP_HOOK = fileURLToPath(new URL('tap-hook.ts', import.meta.url));

/** Ends the file after `msMax`, and what it started with it. `tap` is the bundle (tap-bundle.ts). */
export async function runFile(file: string, tap: string, msMax: number): Promise<FileResult> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, ['--import', TAP_HOOK, file], {
    cwd: ROOT,
    env: {
      ...process.env,
      HEADGATE_TAP: tap,
      // tap's own limit is 30 s.
      TAP_TIMEOUT: String(msMax / 1000),
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? COMPILE_CACHE,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: what it started ends with it.
    detached: true,
  });
  running.add(child);
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    endGroup(child);
  }, msMax + 10_000);
  let output = '';
  const keep = (chunk: string): void => {
    output += chunk;
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  clearTimeout(limit);
  running.delete(child);
  const counts = countAssertions(output);
  return {
    file,
    ...counts,
    tookMs: performance.now() - startedMs,
    failure: isLate ? `not over within ${msMax / 1000} s` : failureOf({ ...counts, code, signal }),
    output,
  };
}

/** Ends the files that are running, and what they started. */
export function endAll(): void {
  for (const child of running) endGroup(child);
}

/** The leaves of a file's TAP; the line of a subtest, which ends with its time, sums up its leaves. */
export function countAssertions(output: string): Pick<FileResult, 'passed' | 'failed' | 'skipped'> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [line] of output.matchAll(/^ *(?:not )?ok \d+.*$/gm)) {
    if (/ # time=[\d.]+ms$/.test(line)) continue;
    if (/ # (?:SKIP|TO\x44O)\b/.test(line)) counts.skipped += 1;
    else if (line.trimStart().startsWith('not')) counts.failed += 1;
    else counts.passed += 1;
  }
  return counts;
}

interface Ending extends Pick<FileResult, 'passed' | 'failed' | 'skipped'> {
  code: number | null;
  signal: string | null;
}

function failureOf({ passed, failed, skipped, code, signal }: Ending): string | null {
  if (failed > 0) return `${failed} of ${passed + failed} assertions failed`;
  if (signal !== null) return `ended by ${signal}`;
  if (code !== 0) return `ended with ${code}`;
  if (skipped > 0) return `${skipped} skipped: a test runs, or is deleted`;
  if (passed === 0) return 'nothing was asserted';
  return null;
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
