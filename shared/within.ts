/** One race with a timer, in place of many: every await on an SDK, a socket or a disk has a limit. */
import type { Clock } from './clock.ts';

/**
 * What `work` comes to, or what `late` returns when it has not settled after `limitMs` milliseconds. Rejects
 * as `work` does, or with what `late` throws. The timer ends with the wait and keeps the process alive until
 * then. Work that is late goes on: end it by a signal where it takes one. A late rejection is dropped.
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
