/**
 * The router's composition root: clouds → sources → ingest → ledger → feeds. Everything is made and wired
 * here, nowhere else; read it from top to bottom to know what the router is.
 */
import { mkdir } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { createAdminServer } from '../shared/admin-server.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { componentLogger, createLogger, type Logger } from '../shared/log.ts';
import { runUntilStopped } from '../shared/process.ts';
import type { Service } from '../shared/service.ts';
import { registerMeasured } from './admin/metrics.ts';
import { routerRoutes } from './admin/status.ts';
import type { RouterConfig, SourceConfig } from './config.ts';
import { openFeed } from './feeds/open.ts';
import { createIngest, type IngestOptions } from './ingest/ingest.ts';
import { openLedger } from './ledger/open.ts';
import { createUpkeep } from './maintenance.ts';
import { registerPushers } from './receipts/metrics.ts';
import { openPushers } from './receipts/open.ts';
import { Receipts } from './receipts/receipts.ts';
import { SourceAges } from './sources/age.ts';
import { createEventHubsSource } from './sources/event-hubs/source.ts';
import { createIntake, together } from './sources/group.ts';
import { registerApi } from './sources/https/metrics.ts';
import { createHttpsSource } from './sources/https/source.ts';
import { createMqttSource } from './sources/mqtt/source.ts';
import { createPubSubSource } from './sources/pubsub/source.ts';
import type { CheckpointStore, Source } from './sources/source.ts';
import { createSqsSource } from './sources/sqs/source.ts';

interface Deps {
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

/** The router's parts in the order they start; they stop in reverse. */
async function createRouter(config: RouterConfig, clock: Clock, entropy: Entropy): Promise<Service[]> {
  const root = rootLogger(config);
  const log = (component: string) => componentLogger(root, component, config.log);
  await mkdir(config.data_dir, { recursive: true, mode: 0o750 });
  const ledger = await openLedger(config, { clock, log: log('ledger') });

  const feeds = config.feeds.map((feed) =>
    openFeed(feed, { ledger, clock, entropy, log: log('feed'), stdout: process.stdout }),
  );
  const receipts = new Receipts({ ledger, clock, intervalMs: config.receipts.interval });
  const pushers = openPushers(config.receipts.through, { receipts, clock, entropy, log: log('receipts') });
  const onCommit: IngestOptions['onCommit'] = (committed) => {
    for (const feed of feeds) feed.notify();
    receipts.committed(committed.map(({ envelope }) => envelope));
    const gateways = new Set(committed.map(({ envelope }) => envelope.gateway));
    for (const pusher of pushers) pusher.committed(gateways);
  };
  const registry = new Registry();
  const ages = new SourceAges(registry, clock);
  const ingest = createIngest({ ledger, clock, log: log('ingest'), onCommit, ages });
  const sources = config.sources.map((source) =>
    openSource(source, ledger, receipts, { clock, entropy, log: log('source') }),
  );

  const intake = createIntake(sources, ingest);
  registerMeasured(registry, { sources, ingest, feeds, ledger, clock });
  registerApi(registry, sources, receipts);
  registerPushers(registry, pushers);
  const admin = createAdminServer({
    ...config.admin,
    checks: {
      ledger: async () => {
        await ledger.ping();
        return null;
      },
      intake: () => intake.closed(),
    },
    registry,
    routes: routerRoutes({ sources, ages, ingest, ledger, feeds, clock }),
    log: log('admin'),
  });
  const closeLedger: Service = { start: () => Promise.resolve(), stop: () => ledger.close() };
  const { upkeep } = ledger;
  const { retention } = config;
  const keeping = createUpkeep({ upkeep, retention, registry, clock, log: log('upkeep') });
  // The admin server answers to the end: /readyz says that the router is stopping.
  return [closeLedger, keeping, admin, together(feeds), together(pushers), intake];
}

/** Runs the router until SIGTERM or SIGINT; resolves with the exit code. */
export async function runRouter(config: RouterConfig): Promise<number> {
  const services = await createRouter(config, systemClock, systemEntropy);
  return runUntilStopped(services, systemClock, componentLogger(rootLogger(config), 'router', config.log));
}

/** On stdout, unless a feed writes the records there. */
function rootLogger(config: RouterConfig): Logger {
  const taken = config.feeds.some((feed) => feed.type === 'ndjson' && feed.file === '-');
  return taken ? createLogger(config.log, process.stderr) : createLogger(config.log);
}

function openSource(
  config: SourceConfig,
  checkpoints: CheckpointStore,
  receipts: Receipts,
  deps: Deps,
): Source {
  switch (config.type) {
    case 'aws':
      return createSqsSource(config.name, config, deps);
    case 'azure':
      return createEventHubsSource(config.name, config, { ...deps, checkpoints });
    case 'gcp':
      return createPubSubSource(config.name, config, deps);
    case 'mqtt':
      return createMqttSource(config.name, config, deps);
    case 'https':
      return createHttpsSource(config.name, config, { ...deps, receipts });
  }
}
