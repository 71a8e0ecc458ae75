/** What the agent measures of routing. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { LiveRouting } from './live-routing.ts';

const HEALTH_STATES = ['healthy', 'degraded', 'probing', 'open'] as const;

/** Read when Prometheus asks. */
export function registerRouting(metrics: ObservedMetrics, routing: LiveRouting): void {
  metrics.gauge('provider_health', 'One for the state that the provider is in.', ['provider', 'state'], () =>
    routing
      .providers()
      .flatMap(({ provider, health }) =>
        HEALTH_STATES.map((state) => [{ provider, state }, state === health ? 1 : 0] as const),
      ),
  );
}
