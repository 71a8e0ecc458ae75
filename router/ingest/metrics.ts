/** Metrics of the ingest. */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../shared/observed-metrics.ts';
import type { Ingest, SourceCounters } from './ingest.ts';

const COUNTERS: ReadonlyArray<[name: string, help: string, read: (counters: SourceCounters) => number]> = [
  ['envelopes_total', 'Envelopes committed.', (c) => c.envelopes],
  ['records_total', 'Records new to the ledger.', (c) => c.records],
  ['conflicts_total', 'Records with an id that holds other content; kept aside.', (c) => c.conflicts],
  ['retries_total', 'Messages left for redelivery.', (c) => c.retries],
];

export function registerIngest(registry: Registry, ingest: Pick<Ingest, 'counters'>): void {
  const metrics = new ObservedMetrics(registry, 'headgate_router_');
  for (const [name, help, read] of COUNTERS) {
    metrics.counter(name, help, ['source'], () =>
      [...ingest.counters()].map(([source, counters]): Reading => [{ source }, read(counters)]),
    );
  }
  const byLabel = (label: string, read: (counters: SourceCounters) => Record<string, number>): Reading[] =>
    [...ingest.counters()].flatMap(([source, counters]) =>
      Object.entries(read(counters)).map(([value, count]): Reading => [{ source, [label]: value }, count]),
    );
  metrics.counter(
    'duplicates_total',
    'Records that the ledger already held, by cause of the repetition.',
    ['source', 'cause'],
    () => byLabel('cause', ({ duplicateCauses }) => duplicateCauses),
  );
  metrics.counter(
    'unverified_total',
    'Envelopes of sources that accept any, without a verified signature, by cause.',
    ['source', 'cause'],
    () => byLabel('cause', ({ unverified }) => unverified),
  );
  metrics.counter(
    'dead_letters_total',
    'Messages kept as dead letters (no envelope, a foreign gateway, refused by the ledger), by reason.',
    ['source', 'reason'],
    () => byLabel('reason', ({ deadLetterReasons }) => deadLetterReasons),
  );
}
