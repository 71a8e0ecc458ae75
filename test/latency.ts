/** The latency of a cloud that a test plays: a part of the scenario, no wait of the test. */
import { systemClock } from '../shared/clock.ts';

/** Resolves after `ms` milliseconds of real time. No assertion may depend on how long that is. */
export function latency(ms: number): Promise<void> {
  return systemClock.sleep(ms);
}
