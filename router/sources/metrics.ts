/** Metrics of the sources. */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../shared/observed-metrics.ts';
import { registerHttpsSources } from './https/metrics.ts';
import type { Source, SourceState } from './source.ts';

export function registerSources(registry: Registry, sources: readonly Source[]): void {
  const metrics = new ObservedMetrics(registry, 'headgate_router_source_');
  const ofEach = (read: (state: SourceState) => number): Reading[] =>
    sources.map((source) => [{ source: source.name }, read(source.state())]);
  metrics.gauge('connected', 'One while the source is connected.', ['source'], () =>
    ofEach(({ connected }) => (connected ? 1 : 0)),
  );
  metrics.gauge(
    'backlog_messages',
    'Messages that wait at the provider; absent where it does not tell, or not now.',
    ['source'],
    () =>
      sources.flatMap((source): Reading[] => {
        const { backlog } = source.state();
        return backlog === null ? [] : [[{ source: source.name }, backlog]];
      }),
  );
  metrics.counter(
    'cuts_total',
    'Connections that the router ended because nothing was answered on them.',
    ['source'],
    () => ofEach(({ cuts }) => cuts),
  );
  metrics.counter(
    'expired_total',
    'Messages that the provider dropped by age before they were read, where it can be told.',
    ['source'],
    () => ofEach(({ expired }) => expired),
  );
  registerHttpsSources(registry, sources);
}
