/**
 * The router's composition root: clouds → sources → ingest → ledger → feeds. Everything is made and wired
 * here, nowhere else; read it from top to bottom to know what the router is.
 */
import { Registry } from 'prom-client';
import { AdminServer } from '../shared/admin-server.ts';
import { noteApplied } from '../shared/audit/applied.ts';
import { AuditLog } from '../shared/audit/audit-log.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { closeDataFolder } from '../shared/config/private-folder.ts';
import { makeFolder } from '../shared/config/start-check.ts';
import { registerNames } from '../shared/dns/metrics.ts';
import { ProcessNames } from '../shared/dns/process-names.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { tellEnvironmentEndpoints } from '../shared/environment-endpoints.ts';
import { componentLogger, createLogger, type Logger } from '../shared/log.ts';
import { ObservedMetrics } from '../shared/observed-metrics.ts';
import { runUntilStopped } from '../shared/process.ts';
import { type Service, startTogether } from '../shared/service.ts';
import { openOwnKey } from '../shared/signing/own-key.ts';
import { maintenanceRoutes } from './admin/maintenance.ts';
import { routerRoutes } from './admin/status.ts';
import type { RouterConfig } from './config.ts';
import type { Feed } from './feeds/feed.ts';
import { registerFeeds } from './feeds/metrics.ts';
import { openFeed } from './feeds/open.ts';
import { GatewayKeys } from './gateways/gateway-keys.ts';
import { DecodeMeter } from './ingest/decode-meter.ts';
import { DecodePool } from './ingest/decode-pool.ts';
import { LedgerGate } from './ingest/gate.ts';
import { Ingest } from './ingest/ingest.ts';
import { registerIngest } from './ingest/metrics.ts';
import { envelopeLimits } from './ingest/options.ts';
import type { IngestOptions } from './ingest/parts.ts';
import { Seals } from './ingest/seals.ts';
import { Signatures } from './ingest/signatures.ts';
import type { Ledger } from './ledger/ledger.ts';
import { openLedger } from './ledger/open.ts';
import type { Dropped } from './ledger/rules/shares.ts';
import { Maintenance } from './maintenance.ts';
import { registerQuotas } from './quotas/metrics.ts';
import { Quotas } from './quotas/quotas.ts';
import { ReceiptForm } from './receipts/form.ts';
import { registerPushers, registerReceipts } from './receipts/metrics.ts';
import { openPushers } from './receipts/open.ts';
import { Receipts } from './receipts/receipts.ts';
import { registerSeals } from './sealing/metrics.ts';
import { SealKeys } from './sealing/seal-keys.ts';
import { acceptOf, warnOfUnsigned } from './sources/accept.ts';
import { SourceAges } from './sources/age.ts';
import { SourceGroup } from './sources/group.ts';
import { registerSources } from './sources/metrics.ts';
import { identitiesOf, openSource } from './sources/open.ts';
import { noneConnected } from './sources/status.ts';

/** The router's parts in the order they start; they stop in reverse. */
async function createRouter(config: RouterConfig, clock: Clock, entropy: Entropy): Promise<Service[]> {
  const root = rootLogger(config);
  const log = (component: string) => componentLogger(root, component, config.log);
  tellEnvironmentEndpoints([...config.sources, ...config.receipts.through], log('router'));
  await makeFolder('data_dir', config.data_dir);
  await closeDataFolder(config.data_dir, log('router'));
  const audit = new AuditLog({ dataDir: config.data_dir, program: 'router', clock, entropy });
  await noteApplied({
    audit,
    dataDir: config.data_dir,
    sections: config,
    via: 'start',
    clock,
    log: log('audit'),
  });
  const names = new ProcessNames({ clock, log: log('dns') });
  // At once: the ledger may be on another machine.
  await names.start();
  const quotas = new Quotas(config.quotas, { clock, log: log('ingest') });
  const onDropped = (dropped: Dropped) => quotas.dropped(dropped);
  const ledger = await openLedger(config, { clock, log: log('ledger'), role: 'router', onDropped });

  const feedDeps = { ledger, clock, entropy, log: log('feed'), stdout: process.stdout };
  const feeds = await Promise.all(config.feeds.map((feed) => openFeed(feed, feedDeps)));
  const accept = acceptOf(config.sources);
  const keys =
    config.gateways_file === undefined
      ? null
      : new GatewayKeys(config.gateways_file, { clock, log: log('source') });
  const signatures = new Signatures({ accept, keys });
  const { keyId, form, receipts, pushers } = await createReceipts(config, {
    ...{ ledger, signatures, clock, entropy, log },
  });
  const { onCommit, onCommitElsewhere } = tellersOf({ feeds, receipts, pushers });
  const registry = new Registry();
  const ages = new SourceAges(registry, clock);
  const gate = new LedgerGate({ ledger, clock, entropy, log: log('ingest') });
  const identities = identitiesOf(config.sources);
  warnOfUnsigned(config.sources, log('source'));
  const sealKeys = new SealKeys(config, { clock, log: log('source') });
  const seals = new Seals({ keys: sealKeys, required: config.sealing.required_streams });
  const deps = { ledger, clock, log: log('ingest'), onCommit, ages, gate };
  const meter = new DecodeMeter();
  const limits = envelopeLimits(config.envelopes);
  const decoder = new DecodePool({ clock, log: log('ingest'), meter, limits });
  const jumpMax = config.envelopes.max_unverified_jump;
  const ingest = new Ingest({ ...deps, identities, signatures, seals, quotas, decoder, jumpMax });
  const opening = { checkpoints: ledger, receipts, form, gate, clock, entropy, log: log('source') };
  const sources = await Promise.all(config.sources.map((source) => openSource(source, opening)));

  const intake = new SourceGroup(sources, ingest);
  const metrics = new ObservedMetrics(registry, 'headgate_router_');
  registerNames(metrics, names);
  registerSeals(metrics, sealKeys, seals);
  registerSources(registry, sources, accept);
  registerIngest(registry, { ingest, decoder, meter });
  registerQuotas(registry, quotas);
  registerFeeds(registry, { feeds, ledger, clock });
  registerReceipts(registry, receipts);
  registerPushers(registry, pushers);
  const maintenanceApi = maintenanceRoutes({ dataDir: config.data_dir, feeds, onCommitElsewhere });
  const maintenance = new Maintenance({
    ledger: ledger.maintenance,
    retention: config.retention,
    registry,
    clock,
    log: log('maintenance'),
  });
  const admin = new AdminServer({
    ...config.admin,
    checks: {
      ledger: async () => {
        await ledger.ping();
        return null;
      },
      intake: () => intake.closed,
      sources: () => noneConnected(sources),
    },
    registry,
    routes: {
      ...routerRoutes({ sources, ages, ingest, quotas, ledger, maintenance, feeds, keyId, clock }),
      ...maintenanceApi.routes,
    },
    changes: maintenanceApi.changes,
    audit,
    clock,
    entropy,
    log: log('admin'),
  });
  const closeLedger: Service = { start: () => Promise.resolve(), stop: () => ledger.close() };
  // The admin server answers to the end: /readyz says that the router is stopping.
  return [
    names,
    closeLedger,
    maintenance,
    admin,
    startTogether(feeds),
    startTogether(pushers),
    gate,
    ...(keys ? [keys] : []),
    sealKeys,
    decoder,
    intake,
  ];
}

interface ReceiptParts {
  keyId: string;
  form: ReceiptForm;
  receipts: Receipts;
  pushers: ReturnType<typeof openPushers>;
}

/** The router's own key, and the receipts that it signs. */
async function createReceipts(
  config: RouterConfig,
  {
    ledger,
    signatures,
    clock,
    entropy,
    log,
  }: {
    ledger: Ledger;
    signatures: Signatures;
    clock: Clock;
    entropy: Entropy;
    log: (component: string) => Logger;
  },
): Promise<ReceiptParts> {
  const signer = await openOwnKey(config, { entropy, log: log('keys') });
  const { keyId } = signer;
  log('keys').info({ event: 'keys.signing', keyId });
  const form = new ReceiptForm({ signer, unsignedCopy: config.receipts.unsigned_copy });
  const unverifiedCount = (gateway: string) => signatures.unverifiedCount(gateway);
  const receipts = new Receipts({ ledger, clock, intervalMs: config.receipts.interval, unverifiedCount });
  const pushing = { receipts, form, clock, entropy, log: log('receipts') };
  return { keyId, form, receipts, pushers: openPushers(config.receipts.through, pushing) };
}

/** Feeds and receipts have new content after a commit, of this router or of another. */
function tellersOf({
  feeds,
  receipts,
  pushers,
}: Pick<ReceiptParts, 'receipts' | 'pushers'> & { feeds: readonly Feed[] }) {
  const onCommit: NonNullable<IngestOptions['onCommit']> = (committed) => {
    for (const feed of feeds) feed.notify();
    receipts.committed(committed.map(({ envelope }) => envelope));
    const gateways = new Set(committed.map(({ envelope }) => envelope.gateway));
    for (const pusher of pushers) pusher.committed(gateways);
  };
  const onCommitElsewhere = (gateway: string): void => {
    for (const feed of feeds) feed.notify();
    receipts.committedElsewhere(gateway);
    for (const pusher of pushers) pusher.committed([gateway]);
  };
  return { onCommit, onCommitElsewhere };
}

/** Runs the router until a signal ends it; resolves with the exit code. */
export async function runRouter(config: RouterConfig): Promise<number> {
  const services = await createRouter(config, systemClock, systemEntropy);
  return runUntilStopped(services, systemClock, componentLogger(rootLogger(config), 'router', config.log));
}

/** The log goes to stdout, unless a feed writes records there. */
function rootLogger(config: RouterConfig): Logger {
  const taken = config.feeds.some((feed) => feed.type === 'ndjson' && feed.file === '-');
  return taken ? createLogger(config.log, process.stderr) : createLogger(config.log);
}
