/** Turns of the event loop. */
import { setImmediate } from 'node:timers/promises';

/**
 * Lets `count` turns of the event loop pass. For a client and a server in one process: what one has done to a
 * connection reaches the other within a few turns, however slow the machine is.
 */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i += 1) await setImmediate();
}
