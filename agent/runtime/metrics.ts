/** Metrics of the agent's own process. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';

const QUANTILES = [0.5, 0.99, 1];
/** Interval of the measuring timer; perf_hooks reports the time from one firing to the next. */
const RESOLUTION_MS = 10;

/** Starts the measurement and registers metrics that are read at each scrape. */
export function registerEventLoop(metrics: ObservedMetrics): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  metrics.gauge('event_loop_lag_seconds', 'Delay of timers, since the last scrape.', ['quantile'], () => {
    const lags = QUANTILES.map((quantile) => {
      const intervalMs = delay.percentile(quantile * 100) / 1e6;
      return [{ quantile }, Math.max(0, intervalMs - RESOLUTION_MS) / 1000] as const;
    });
    delay.reset();
    return lags;
  });
}
