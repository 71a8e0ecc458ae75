/** A router's way in from Event Hubs to a ledger in PostgreSQL. As a process: arguments are place, source as JSON, lease in ms. */
import { createIngest } from '../../router/ingest.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/postgres.ts';
import { createEventHubsSource, eventHubsOptions } from '../../router/sources/event-hubs.ts';
import type { Source } from '../../router/sources/source.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { optionsOf } from './postgres-engine.ts';

export interface PartitionReader {
  ledger: Ledger;
  source: Source;
  stop(): Promise<void>;
}

export async function openPartitionReader(
  place: string,
  config: unknown,
  leaseMs: number,
): Promise<PartitionReader> {
  const log = createLogger({ level: 'silent', levels: {} });
  const ledger = await openPostgresLedger({ ...optionsOf(place), clock, log });
  const ingest = createIngest({ ledger, clock, log });
  const options = eventHubsOptions.parse(config);
  const source = createEventHubsSource('azure', options, {
    clock,
    entropy,
    log,
    checkpoints: ledger,
    leaseMs,
  });
  await source.start(ingest.handler);
  let stopped: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    await source.stop();
    await ingest.drain();
    await ledger.close();
  };
  return {
    ledger,
    source,
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

if (import.meta.main) {
  const [place = '', config = '', leaseMs = ''] = process.argv.slice(2);
  await openPartitionReader(place, JSON.parse(config), Number(leaseMs));
}
