/** The foreign clients' tools: a Python environment made by pip, and Go. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ROOT } from '../runner/run-file.ts';

const run = promisify(execFile);
const HERE = fileURLToPath(new URL('.', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/headgate-foreign');
const OUTPUT_BYTES_MAX = 64 * 2 ** 20;
const PYTHON = 'apt-get install python3 python3-venv';
const GO = 'install Go 1.26 or newer (go.dev/doc/install)';

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

const PAHO_SUITE = 'https://github.com/eclipse/paho.mqtt.testing';
const PAHO_COMMIT = '9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103';

/**
 * The folder of Paho's interoperability suite: `PAHO_SUITE`, or a clone of the pinned commit, made once. The
 * suite is in no package registry.
 */
export async function pahoSuite(): Promise<string> {
  const given = process.env['PAHO_SUITE'];
  if (given !== undefined) return join(given, 'interoperability');
  const home = join(CACHE, `paho-${PAHO_COMMIT.slice(0, 7)}`);
  if (!existsSync(join(home, 'complete'))) {
    await tool('git', ['clone', '--quiet', PAHO_SUITE, home], 'apt-get install git');
    await tool('git', ['-C', home, 'checkout', '--quiet', PAHO_COMMIT], 'apt-get install git');
    mkdirSync(join(home, 'complete'));
  }
  return join(home, 'interoperability');
}

/** The JSON lines that a script of python/ prints. */
export async function runPython(script: string, options: unknown): Promise<Record<string, unknown>[]> {
  const interpreter = await python();
  return lines(
    await tool(interpreter, ['-B', join(HERE, 'python', script), JSON.stringify(options)], PYTHON),
  );
}

/** The JSON lines that a program of go/ prints. */
export async function runGo(program: string, options: unknown): Promise<Record<string, unknown>[]> {
  return lines(await tool(await goBinary(program), [JSON.stringify(options)], GO));
}

async function goBinary(program: string): Promise<string> {
  const binary = join(CACHE, program);
  await tool('go', ['build', '-C', join(HERE, 'go'), '-o', binary, `./${program}`], GO);
  return binary;
}

/** A program that serves until its standard input ends. */
export interface Serving {
  /** The JSON object on its first line. */
  told: Record<string, unknown>;
  /** Ends it; the JSON objects that it printed after the first. */
  stop(): Promise<Record<string, unknown>[]>;
}

export async function servePython(script: string, options: unknown): Promise<Serving> {
  return serve(await python(), ['-B', join(HERE, 'python', script), JSON.stringify(options)]);
}

export async function serveGo(program: string, options: unknown): Promise<Serving> {
  return serve(await goBinary(program), [JSON.stringify(options)]);
}

async function serve(file: string, args: readonly string[]): Promise<Serving> {
  const child = spawn(file, [...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const printed: string[] = [];
  const reading = createInterface({ input: child.stdout }).on('line', (line) => printed.push(line));
  await Promise.race([once(reading, 'line'), ended]);
  const [first] = printed;
  if (first === undefined) throw new Error(`${file} ended before it served`);
  return {
    told: JSON.parse(first),
    async stop() {
      child.stdin.end();
      await ended;
      return lines(printed.slice(1).join('\n'));
    },
  };
}

/** Runs a tool of the system; a missing one fails with how to install it. */
export function runTool(file: string, args: readonly string[], install: string): Promise<string> {
  return tool(file, args, install);
}

function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
