/** The one way in which a test waits for a change without an event. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS_MIN = 5;
const POLL_MS_MAX = 100;
/** Of the time that it has waited: asking costs the process that is asked what it needs for the change. */
const POLL_PART = 0.1;
/** Only a failing test gets here: no machine is that busy. */
const LIMIT_MS = 120_000;

/**
 * Asks until the answer is truthy, and returns it. Throws after two minutes with `what`, the thing that did
 * not happen. Prefer an event (`once`, a promise of the code under test) or the manual clock, where there is
 * one.
 */
export function until<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<T>> {
  return asked(what, ask, POLL_MS_MAX);
}

/**
 * Like {@link until}, for a change that a test's clock brings: its time passes with each look, `stepMs`
 * milliseconds. The looks come at an even pace.
 */
export function asTimePasses<T>(
  clock: { advance(ms: number): void },
  stepMs: number,
  what: string,
  ask: () => T | Promise<T>,
): Promise<NonNullable<T>> {
  const look = (): T | Promise<T> => {
    clock.advance(stepMs);
    return ask();
  };
  return asked(what, look, POLL_MS_MIN);
}

async function asked<T>(
  what: string,
  ask: () => T | Promise<T>,
  pauseMsMax: number,
): Promise<NonNullable<T>> {
  const startedMs = performance.now();
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    const waitedMs = performance.now() - startedMs;
    if (waitedMs > LIMIT_MS) throw new Error(`waited ${LIMIT_MS / 1000} s in vain: ${what}`);
    await sleep(Math.min(pauseMsMax, Math.max(POLL_MS_MIN, POLL_PART * waitedMs)));
  }
}
