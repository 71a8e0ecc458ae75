/** Metrics of the router's HTTPS endpoints. */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../../shared/observed-metrics.ts';
import type { Source } from '../source.ts';
import { HttpsSource } from './source.ts';

export function registerHttpsSources(registry: Registry, sources: readonly Source[]): void {
  const endpoints = sources.filter((source) => source instanceof HttpsSource);
  new ObservedMetrics(registry, 'headgate_router_').counter(
    'api_refused_total',
    'Refused requests of gateways, by reason.',
    ['source', 'reason'],
    () =>
      endpoints.flatMap((source) =>
        [...source.refusals()].map(([reason, count]): Reading => [{ source: source.name, reason }, count]),
      ),
  );
}
