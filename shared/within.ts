/** The one race with a timer: every await on an SDK, a socket or a disk has a limit. */
import type { Clock } from './clock.ts';

/**
 * Resolves with the result of `work`, or with the result of `late` when `work` has not settled after
 * `limitMs` milliseconds. Rejects with the error of `work`, or with the error that `late` throws. The timer
 * ends with the wait and keeps the process alive until then. Late work continues: end it by a signal where it
 * takes one. A late rejection is dropped.
 */
export async function within<Value, Late>(
  clock: Clock,
  limitMs: number,
  work: Promise<Value>,
  late: () => Late,
): Promise<Value | Late> {
  const { promise: over, resolve, reject } = Promise.withResolvers<Late>();
  const end = (): void => {
    try {
      resolve(late());
    } catch (error) {
      reject(error);
    }
  };
  const timer = clock.setTimer(limitMs, end, true);
  try {
    return await Promise.race([work, over]);
  } finally {
    timer.cancel();
  }
}
