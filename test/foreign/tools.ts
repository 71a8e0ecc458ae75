/** The foreign clients' tools: a Python environment made by pip, and Go. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ROOT } from '../runner/run-file.ts';

const run = promisify(execFile);
const HERE = fileURLToPath(new URL('.', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/headgate-foreign');
const OUTPUT_BYTES_MAX = 64 * 2 ** 20;
const PYTHON = 'apt-get install python3 python3-venv';
const GO = 'install Go 1.24 or newer (go.dev/doc/install)';

/** Runs a tool; a missing one fails with how to install it. */
async function tool(file: string, args: readonly string[], install: string): Promise<string> {
  try {
    const { stdout } = await run(file, [...args], { maxBuffer: OUTPUT_BYTES_MAX });
    return stdout;
  } catch (error) {
    if (Reflect.get(Object(error), 'code') === 'ENOENT') throw new Error(`${file} is missing: ${install}`);
    throw error;
  }
}

/**
 * The interpreter of an environment with the packages of requirements.txt, made once for each version of it.
 */
async function python(): Promise<string> {
  const requirements = join(HERE, 'requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const home = join(CACHE, `venv-${digest}`);
  const interpreter = join(home, 'bin/python');
  if (existsSync(join(home, 'complete'))) return interpreter;
  mkdirSync(CACHE, { recursive: true });
  await tool('python3', ['-m', 'venv', home], PYTHON);
  await tool(interpreter, ['-m', 'pip', 'install', '--quiet', '-r', requirements], PYTHON);
  mkdirSync(join(home, 'complete'), { recursive: true });
  return interpreter;
}

/** The JSON lines that a script of python/ prints. */
export async function runPython(script: string, options: unknown): Promise<Record<string, unknown>[]> {
  const interpreter = await python();
  return lines(await tool(interpreter, [join(HERE, 'python', script), JSON.stringify(options)], PYTHON));
}

/** The JSON lines that a program of go/ prints. */
export async function runGo(program: string, options: unknown): Promise<Record<string, unknown>[]> {
  const binary = join(CACHE, program);
  await tool('go', ['build', '-C', join(HERE, 'go'), '-o', binary, `./${program}`], GO);
  return lines(await tool(binary, [JSON.stringify(options)], GO));
}

function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
