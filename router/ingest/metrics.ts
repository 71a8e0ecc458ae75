/** Metrics of the ingest, by Prometheus' naming conventions; read when Prometheus asks. */
import { Counter, type Registry } from 'prom-client';
import type { Ingest, SourceCounters } from './ingest.ts';

const PREFIX = 'headgate_router_';

const COUNTERS: ReadonlyArray<[name: string, help: string, read: (counters: SourceCounters) => number]> = [
  ['envelopes_total', 'Envelopes committed.', (c) => c.envelopes],
  ['records_total', 'Records new to the ledger.', (c) => c.records],
  ['conflicts_total', 'Records with an id that holds other content; kept aside.', (c) => c.conflicts],
  ['retries_total', 'Messages left for redelivery.', (c) => c.retries],
];

export function registerIngest(registry: Registry, ingest: Pick<Ingest, 'counters'>): void {
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
}
