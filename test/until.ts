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
export async function until<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<T>> {
  const startedMs = performance.now();
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    const waitedMs = performance.now() - startedMs;
    if (waitedMs > LIMIT_MS) throw new Error(`waited ${LIMIT_MS / 1000} s in vain: ${what}`);
    await sleep(Math.min(POLL_MS_MAX, Math.max(POLL_MS_MIN, POLL_PART * waitedMs)));
  }
}
