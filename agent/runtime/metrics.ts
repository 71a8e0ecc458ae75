/** What the agent measures of its own process. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';

const QUANTILES = [0.5, 0.99, 1];
/** How often a timer fires to measure it; perf_hooks reports the time from one to the next. */
const RESOLUTION_MS = 10;

/** Measures from now on; read when Prometheus asks. */
export function registerEventLoop(metrics: ObservedMetrics): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  metrics.gauge(
    'event_loop_lag_seconds',
    'How late timers fire, since the last scrape.',
    ['quantile'],
    () => {
      const lags = QUANTILES.map((quantile) => {
        const intervalMs = delay.percentile(quantile * 100) / 1e6;
        return [{ quantile }, Math.max(0, intervalMs - RESOLUTION_MS) / 1000] as const;
      });
      delay.reset();
      return lags;
    },
  );
}
