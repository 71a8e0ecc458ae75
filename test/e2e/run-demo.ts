/** Runs the real demo command in a process of its own and reads its verdict. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../demo/report.ts';

const BIN = fileURLToPath(new URL('../../bin/headgate.js', import.meta.url));

export interface DemoRun {
  exitCode: number | null;
  /** Null when it printed none. */
  report: Omit<Report, 'crashes'> | null;
  stderr: string;
}

/** `args` come after `headgate demo --json`. */
export async function runDemo(args: readonly string[]): Promise<DemoRun> {
  const child = spawn(process.execPath, [BIN, 'demo', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const exitCode = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const last = stdout.trim().split('\n').at(-1) ?? '';
  return { exitCode, report: last.startsWith('{') ? JSON.parse(last) : null, stderr };
}
