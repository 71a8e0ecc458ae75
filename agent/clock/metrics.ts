/** What the agent measures of its clock (I7). */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { BootClock } from './boot-clock.ts';

/** Read when Prometheus asks. */
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
  metrics.gauge('clock_last_jump_seconds', 'How far the last of them went; 0 before the first.', [], () => [
    [{}, bootClock.jumps().lastMs / 1000],
  ]);
}
