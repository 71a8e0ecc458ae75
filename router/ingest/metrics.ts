/** Metrics of the ingest. */
import type { Registry } from 'prom-client';
import { ObservedMetrics, type Reading } from '../../shared/observed-metrics.ts';
import type { SourceCounters } from './counters.ts';
import type { DecodeCost, DecodeMeter } from './decode-meter.ts';
import type { DecodePool } from './decode-pool.ts';
import type { Ingest } from './ingest.ts';

const COUNTERS: ReadonlyArray<[name: string, help: string, read: (counters: SourceCounters) => number]> = [
  ['envelopes_total', 'Envelopes committed.', (c) => c.envelopes],
  ['records_total', 'Records new to the ledger.', (c) => c.records],
  ['conflicts_total', 'Records with an id that holds other content; kept aside.', (c) => c.conflicts],
  ['sealed_total', 'Sealed envelopes received, and opened.', (c) => c.sealed],
  ['retries_total', 'Messages left for redelivery.', (c) => c.retries],
];

/** Gateways whose time of decoding has a value each. */
const GATEWAYS_SHOWN = 20;

export interface IngestParts {
  ingest: Pick<Ingest, 'counters'>;
  decoder: Pick<DecodePool, 'waitingBytes' | 'lost'>;
  meter: DecodeMeter;
}

export function registerIngest(registry: Registry, { ingest, decoder, meter }: IngestParts): void {
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
  registerDecoding(metrics, decoder, meter);
}

function registerDecoding(
  metrics: ObservedMetrics,
  decoder: IngestParts['decoder'],
  meter: DecodeMeter,
): void {
  const places = (read: (cost: DecodeCost) => number): Reading[] =>
    meter.places().map(([place, cost]): Reading => [{ place }, read(cost)]);
  const help = 'by place: the loop for small envelopes, a thread for others';
  metrics.counter('decode_seconds_total', `Time spent decoding envelopes, ${help}.`, ['place'], () =>
    places(({ ms }) => ms / 1000),
  );
  metrics.counter('decode_messages_total', `Messages decoded or refused, ${help}.`, ['place'], () =>
    places(({ messages }) => messages),
  );
  metrics.gauge(
    'gateway_decode_seconds',
    `Time spent decoding since the start, of the ${GATEWAYS_SHOWN} gateways with the most.`,
    ['gateway'],
    () => meter.heaviest(GATEWAYS_SHOWN).map(([gateway, { ms }]): Reading => [{ gateway }, ms / 1000]),
  );
  metrics.gauge('decode_waiting_bytes', 'Bytes of messages that wait for a decode thread.', [], () => [
    [{}, decoder.waitingBytes],
  ]);
  metrics.counter(
    'decode_threads_lost_total',
    'Decode threads that ended, hung or did not start.',
    [],
    () => [[{}, decoder.lost]],
  );
}
