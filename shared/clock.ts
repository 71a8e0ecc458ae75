/**
 * The only file that uses the machine's clocks and timers. All other code takes a {@link Clock} by argument,
 * so that the same code runs on a virtual clock in simulation (I11) and no code orders by wall time (I7).
 */

/** A pending timer. `cancel` is safe to call twice, and after it fired. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /**
   * Monotonic time in milliseconds (on Linux: since boot). Never jumps; the only time to order or expire by.
   */
  monoMs(): number;
  /**
   * Wall-clock time in milliseconds since the Unix epoch. It may be wrong and may jump: for display and
   * signing only.
   */
  wallMs(): number;
  /** Calls `run` once after `delayMs`. Does not keep the process alive unless `keepAlive`. */
  setTimer(delayMs: number, run: () => void, keepAlive?: boolean): Timer;
  /** Calls `run` every `periodMs` until cancelled. Does not keep the process alive. */
  every(periodMs: number, run: () => void): Timer;
  /** Resolves after `delayMs`, or at once when `signal` aborts (it never rejects). */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * The offset between the two readings of CLOCK_MONOTONIC: `performance` counts from the start of the process,
 * and needs no object per reading.
 */
const PROCESS_BEGAN_MS = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();

export const systemClock: Clock = {
  monoMs: () => PROCESS_BEGAN_MS + performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, run, keepAlive = false) {
    if (delayMs <= 0 && !keepAlive) return soon(run);
    const timer = setTimeout(run, delayMs);
    if (!keepAlive) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(periodMs, run) {
    const timer = setInterval(run, periodMs);
    timer.unref();
    return { cancel: () => clearInterval(timer) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      signal?.addEventListener('abort', done, { once: true });
    });
  },
};

/** After the current turn of the event loop; a timer of Node.js takes at least a millisecond. */
function soon(run: () => void): Timer {
  const immediate = setImmediate(run);
  immediate.unref();
  return { cancel: () => clearImmediate(immediate) };
}

/** ISO 8601 UTC text of a wall-clock instant, for logs and reports. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** The Date of a wall-clock instant, for libraries that need one. */
export function dateOf(wallMs: number): Date {
  return new Date(wallMs);
}

/** The wall-clock milliseconds of an ISO 8601 text. */
export function wallMsOf(iso: string): number {
  return Date.parse(iso);
}
