/** What the router measures, by Prometheus' naming conventions; read from the parts when Prometheus asks. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../shared/clock.ts';
import type { Feed } from '../feeds/feed.ts';
import { registerFeeds } from '../feeds/metrics.ts';
import type { Ingest, SourceCounters } from '../ingest/ingest.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Source } from '../sources/source.ts';

const PREFIX = 'headgate_router_';

export interface Measured {
  sources: readonly Source[];
  ingest: Ingest;
  feeds: readonly Feed[];
  ledger: Ledger;
  clock: Clock;
}

const COUNTERS: ReadonlyArray<[name: string, help: string, read: (counters: SourceCounters) => number]> = [
  ['envelopes_total', 'Envelopes committed.', (c) => c.envelopes],
  ['records_total', 'Records new to the ledger.', (c) => c.records],
  ['conflicts_total', 'Records with an id that holds other content; kept aside.', (c) => c.conflicts],
  ['retries_total', 'Messages left for redelivery.', (c) => c.retries],
];

export function registerMeasured(
  registry: Registry,
  { sources, ingest, feeds, ledger, clock }: Measured,
): void {
  const registers = [registry];
  for (const [name, help, read] of COUNTERS) {
    new Counter({
      name: PREFIX + name,
      help,
      labelNames: ['source'],
      registers,
      collect() {
        this.reset();
        for (const [source, counters] of ingest.counters()) this.inc({ source }, read(counters));
      },
    });
  }
  new Counter({
    name: `${PREFIX}duplicates_total`,
    help: 'Records that the ledger held already, by why they came again.',
    labelNames: ['source', 'cause'],
    registers,
    collect() {
      this.reset();
      for (const [source, { duplicateCauses }] of ingest.counters()) {
        for (const [cause, count] of Object.entries(duplicateCauses)) this.inc({ source, cause }, count);
      }
    },
  });
  new Counter({
    name: `${PREFIX}dead_letters_total`,
    help: 'Messages that are not envelopes, not of the gateway they claim, or too much: kept apart, by reason.',
    labelNames: ['source', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const [source, { deadLetterReasons }] of ingest.counters()) {
        for (const [reason, count] of Object.entries(deadLetterReasons)) this.inc({ source, reason }, count);
      }
    },
  });
  new Gauge({
    name: `${PREFIX}source_connected`,
    help: 'One while the source is connected.',
    labelNames: ['source'],
    registers,
    collect() {
      for (const source of sources) this.set({ source: source.name }, source.state().connected ? 1 : 0);
    },
  });
  new Gauge({
    name: `${PREFIX}source_backlog_messages`,
    help: 'Messages that wait at the provider; absent where it does not tell, or not now.',
    labelNames: ['source'],
    registers,
    collect() {
      this.reset();
      for (const source of sources) {
        const { backlog } = source.state();
        if (backlog !== null) this.set({ source: source.name }, backlog);
      }
    },
  });
  registerFeeds(registry, { feeds, ledger, clock });
}
