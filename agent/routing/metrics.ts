/** Metrics of routing. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { LiveRouting } from './live-routing.ts';

const HEALTH_STATES = ['healthy', 'degraded', 'probing', 'open'] as const;

/** Registers metrics that are read at each scrape. */
export function registerRouting(metrics: ObservedMetrics, routing: LiveRouting): void {
  metrics.gauge('provider_health', 'One for the provider’s state.', ['provider', 'state'], () =>
    routing
      .providers()
      .flatMap(({ provider, health }) =>
        HEALTH_STATES.map((state) => [{ provider, state }, state === health ? 1 : 0] as const),
      ),
  );
}
