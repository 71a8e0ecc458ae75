/** Runs the commands: in a process of their own, as a user does, or in this one. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { run } from '../../cli/program.ts';
import type { Terminal } from '../../cli/terminal.ts';

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
  /** All of its stdin. */
  input?: string;
}

/**
 * The real bin/headgate.js in a process of its own: how it starts, ends and takes signals. Nothing of this
 * process's environment goes along but PATH, and where Node.js keeps compiled modules.
 */
export function headgate(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const {
    env = {},
    nodeArgs = [],
    node = process.execPath,
    bin = BIN,
    timeoutMs = 300_000,
    input = '',
  } = options;
  return new Promise((resolve) => {
    const child = execFile(
      node,
      [...nodeArgs, bin, ...args],
      { env: { ...KEPT, ...env }, timeout: timeoutMs },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.on('error', () => {
      // EPIPE: the command ended before it read its stdin, and its exit code says why.
    });
    child.stdin?.end(input);
  });
}

/**
 * The same command in this process: its output and its exit code, without the half second in which a process
 * loads it. Each command has a case with `headgate` too.
 */
export async function command(
  args: readonly string[],
  { env = {}, input = '' }: { env?: Record<string, string>; input?: string } = {},
): Promise<Ran> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const terminal: Terminal = {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: collector(out),
    stderr: collector(err),
    env,
  };
  await run(['node', 'headgate', ...args], terminal);
  const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString();
  return { code: Number(terminal.exitCode ?? 0), stdout: text(out), stderr: text(err) };
}

function collector(chunks: Buffer[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
}

/** Writes files into a folder that goes away with the test; returns the folder. */
export function folderWith(t: Test, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'headgate-test-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  return dir;
}
