/**
 * Loaded with `--import` into a process that runs the real store, and by that into its thread: ends the
 * process with SIGKILL at one step of the thread. The production code has no hook for it; every step goes
 * through better-sqlite3 or the thread's port.
 */
import { existsSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { ANSWER, CLOSE, type Step } from './crash-point.ts';

/** While this file exists, steps are counted. */
const armedFile = process.env['HEADGATE_CRASH_ARMED'] ?? '';
const wanted: Step = JSON.parse(process.env['HEADGATE_CRASH_STEP'] ?? '{"edge":"before","step":"(none)"}');
let seen = 0;

/** Does `run`, or ends the process before or after it. */
function stepped<T>(step: string, run: () => T): T {
  const isNow = step.startsWith(wanted.step) && existsSync(armedFile) && ++seen === 1;
  if (isNow && wanted.edge === 'before') process.kill(process.pid, 'SIGKILL');
  const result = run();
  if (isNow) process.kill(process.pid, 'SIGKILL');
  return result;
}

/** Puts a step around every call of a method. */
function cut(target: object, method: string, stepOf: (self: object, args: unknown[]) => string): void {
  const original: unknown = Reflect.get(target, method);
  if (typeof original !== 'function') throw new Error(`no method ${method} to cut`);
  const replacement = function (this: object, ...args: unknown[]): unknown {
    return stepped(stepOf(this, args), () => Reflect.apply(original, this, args));
  };
  Object.defineProperty(target, method, { value: replacement, configurable: true, writable: true });
}

const memory = new Database(':memory:');
const statements: object = Object.getPrototypeOf(memory.prepare('SELECT 1'));
memory.close();
cut(statements, 'run', (statement) => String(Reflect.get(statement, 'source')));
cut(Database.prototype, 'pragma', (_database, [source]) => `PRAGMA ${source}`);
cut(Database.prototype, 'close', () => CLOSE);
if (parentPort) cut(parentPort, 'postMessage', () => ANSWER);
