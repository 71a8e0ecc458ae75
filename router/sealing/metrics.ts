/** Metrics of sealed envelopes. */
import type { ObservedMetrics } from '../../shared/observed-metrics.ts';
import type { Seals } from '../ingest/seals.ts';
import type { SealKeys } from './seal-keys.ts';

export function registerSeals(metrics: ObservedMetrics, keys: SealKeys, seals: Seals): void {
  metrics.gauge('seal_keys', 'Private keys of this router that open sealed envelopes.', [], () => [
    [{}, keys.keyIds.length],
  ]);
  metrics.counter(
    'content_keys_total',
    'Content keys of sealed envelopes unwrapped, about one an hour for each gateway.',
    [],
    () => [[{}, seals.unwrapped]],
  );
}
