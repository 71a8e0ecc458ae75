/**
 * A router's way in from Event Hubs to a ledger that routers share. As a process: arguments are engine,
 * place, source as JSON, lease in ms.
 */
import { Ingest } from '../../router/ingest/ingest.ts';
import { openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { openPostgresLedger } from '../../router/ledger/postgres/engine.ts';
import { eventHubsOptions } from '../../router/sources/event-hubs/options.ts';
import { EventHubsSource } from '../../router/sources/event-hubs/source.ts';
import type { Source } from '../../router/sources/source.ts';
import { systemClock as clock } from '../../shared/clock.ts';
import { systemEntropy as entropy } from '../../shared/entropy.ts';
import { createLogger } from '../../shared/log.ts';
import { optionsOf as onJetStream } from './jetstream-engine.ts';
import { optionsOf as onPostgres } from './postgres-engine.ts';

const log = createLogger({ level: 'silent', levels: {} });

export type SharedEngineName = 'postgres' | 'jetstream';

/** On the server, or the cluster, that the suite named in the environment. */
export function openShared(engine: SharedEngineName, place: string): Promise<Ledger> {
  if (engine === 'jetstream') return openJetStreamLedger(onJetStream(place));
  return openPostgresLedger({ ...onPostgres(place), clock, log });
}

export interface PartitionReader {
  ledger: Ledger;
  source: Source;
  stop(): Promise<void>;
}

export async function openPartitionReader(
  engine: SharedEngineName,
  place: string,
  config: unknown,
  leaseMs: number,
): Promise<PartitionReader> {
  const ledger = await openShared(engine, place);
  const ingest = new Ingest({ ledger, clock, log });
  const options = eventHubsOptions.parse(config);
  const source = new EventHubsSource('azure', options, {
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
  const [engine = '', place = '', config = '', leaseMs = ''] = process.argv.slice(2);
  if (engine !== 'postgres' && engine !== 'jetstream') throw new Error(`no engine ${engine}`);
  await openPartitionReader(engine, place, JSON.parse(config), Number(leaseMs));
}
