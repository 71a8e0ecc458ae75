/** Runs the real bin/headgate.js in a process of its own, as a user does. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = join(ROOT, 'bin', 'headgate.js');

/** The variables that every command gets of this process's environment. */
const KEPT = Object.fromEntries(
  ['PATH', 'NODE_COMPILE_CACHE'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }),
);

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  env?: Record<string, string>;
  /** Flags of node itself. */
  nodeArgs?: string[];
  node?: string;
  bin?: string;
  timeoutMs?: number;
}

/** Nothing of this process's environment goes along but PATH, and where Node.js keeps compiled modules. */
export function headgate(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, nodeArgs = [], node = process.execPath, bin = BIN, timeoutMs = 300_000 } = options;
  return new Promise((resolve) => {
    const child = execFile(
      node,
      [...nodeArgs, bin, ...args],
      { env: { ...KEPT, ...env }, timeout: timeoutMs },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** Writes files into a folder that goes away with the test; returns the folder. */
export function folderWith(t: Test, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}
