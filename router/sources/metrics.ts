/** Metrics of the sources. */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../shared/observed-metrics.ts';
import type { Accept } from './accept.ts';
import { registerHttpsSources } from './https/metrics.ts';
import type { Source, SourceState } from './source.ts';

export function registerSources(
  registry: Registry,
  sources: readonly Source[],
  accept: ReadonlyMap<string, Accept>,
): void {
  const metrics = new ObservedMetrics(registry, 'headgate_router_source_');
  const ofEach = (read: (state: SourceState) => number): Reading[] =>
    sources.map((source) => [{ source: source.name }, read(source.state())]);
  metrics.gauge('connected', 'One while the source is connected.', ['source'], () =>
    ofEach(({ connected }) => (connected ? 1 : 0)),
  );
  metrics.gauge(
    'backlog_messages',
    'Messages waiting at the provider; absent where the provider does not report them, or not now.',
    ['source'],
    () =>
      sources.flatMap((source): Reading[] => {
        const { backlog } = source.state();
        return backlog === null ? [] : [[{ source: source.name }, backlog]];
      }),
  );
  metrics.counter('cuts_total', 'Connections that the router ended because no answer came.', ['source'], () =>
    ofEach(({ cuts }) => cuts),
  );
  metrics.counter('throttled_total', 'Answers by which the provider asked to slow down.', ['source'], () =>
    ofEach(({ throttled }) => throttled),
  );
  metrics.counter(
    'expired_total',
    'Messages that the provider dropped by age before they were read, where the provider shows it.',
    ['source'],
    () => ofEach(({ expired }) => expired),
  );
  metrics.gauge(
    'accepts_unsigned',
    '1 when the source also takes unsigned envelopes, else 0.',
    ['source'],
    () => sources.map(({ name }): Reading => [{ source: name }, accept.get(name) === 'signed' ? 0 : 1]),
  );
  registerHttpsSources(registry, sources);
}
