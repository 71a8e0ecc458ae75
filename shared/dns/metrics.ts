/** Metrics of the look-ups of names. */
import type { ObservedMetrics } from '../observed-metrics.ts';
import type { ProcessNames } from './process-names.ts';

export function registerNames(metrics: ObservedMetrics, { names }: ProcessNames): void {
  metrics.counter(
    'dns_lookups_total',
    'Look-ups of names that ended, as the resolver ended them.',
    ['result'],
    () => [
      [{ result: 'answered' }, names.counts.answered],
      [{ result: 'failed' }, names.counts.failed],
    ],
  );
  metrics.counter('dns_stale_total', 'Answers of before that were used because no new one came.', [], () => [
    [{}, names.counts.stale],
  ]);
  metrics.gauge('dns_under_way', 'Look-ups that have no answer yet: at most one of a name.', [], () => [
    [{}, names.underWay],
  ]);
}
