/** Metrics of the clock (I7). */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { BootClock } from './boot-clock.ts';

/** Registers metrics that are read at each scrape. */
export function registerClock(metrics: ObservedMetrics, bootClock: BootClock): void {
  metrics.gauge(
    'clock_synchronised',
    'One when the wall clock is synchronised; records taken before are corrected.',
    [],
    () => [[{}, bootClock.current().quality === 'synchronised' ? 1 : 0]],
  );
  metrics.counter(
    'clock_jumps_total',
    'Jumps of the wall clock while it counted as synchronised.',
    [],
    () => [[{}, bootClock.jumps().count]],
  );
  metrics.gauge('clock_last_jump_seconds', 'Size of the last jump; 0 before the first.', [], () => [
    [{}, bootClock.jumps().lastMs / 1000],
  ]);
}
