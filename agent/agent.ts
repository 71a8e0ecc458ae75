/**
 * The agent's composition root: MQTT devices → broker → store → forwarder → clouds. Every part is made and
 * wired here; the parts in the order of the file are the structure of the agent. Each function makes one room
 * of parts from the rooms before it.
 */
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { AdminServer } from '../shared/admin-server.ts';
import { AuditLog, auditFolder } from '../shared/audit/audit-log.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { closeDataFolder } from '../shared/config/private-folder.ts';
import { registerNames } from '../shared/dns/metrics.ts';
import { ProcessNames } from '../shared/dns/process-names.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { tellEnvironmentEndpoints } from '../shared/environment-endpoints.ts';
import { componentLogger, createLogger, type Logger } from '../shared/log.ts';
import { ObservedMetrics } from '../shared/observed-metrics.ts';
import type { ProviderFacts } from '../shared/policy/policy.ts';
import { runUntilStopped } from '../shared/process.ts';
import type { Service } from '../shared/service.ts';
import { clientRoutes } from './admin/clients-route.ts';
import { explainRoutes } from './admin/explain-route.ts';
import { readinessChecks } from './admin/readiness.ts';
import { statusRoutes } from './admin/status.ts';
import { AuditShipper } from './audit/shipper.ts';
import { deviceFilePath } from './broker/access/device-file.ts';
import { Devices } from './broker/access/devices.ts';
import { Broker } from './broker/broker.ts';
import { Intake } from './broker/intake.ts';
import { registerBroker } from './broker/metrics.ts';
import { NOT_KEPT } from './broker/persistence/session-log.ts';
import { Sessions } from './broker/persistence/sessions.ts';
import { BootClock, readBootId } from './clock/boot-clock.ts';
import { ClockSync } from './clock/clock-sync.ts';
import { registerClock } from './clock/metrics.ts';
import { brokerLimits, listenerOptions, sessionLimits } from './config/broker-options.ts';
import type { AgentConfig } from './config/config.ts';
import { envelopeLimits } from './config/envelope-limits.ts';
import { intakeRules } from './config/intake-rules.ts';
import { providerFacts } from './config/provider-facts.ts';
import { bufferFile, storeLimits } from './config/store-options.ts';
import { Meter } from './cost/meter.ts';
import { registerCosts } from './cost/metrics.ts';
import { costRoutes } from './cost/routes.ts';
import { meteredProviders, tariffNamed } from './cost/tariffs.ts';
import type { Downlink } from './downlink/downlink.ts';
import { registerReceipts } from './downlink/metrics.ts';
import { openDownlink, twinLinks } from './downlink/open.ts';
import { ReceiptTracker } from './downlink/receipt-tracker.ts';
import { ReceiptReceiver } from './downlink/receiver.ts';
import { RouterKeys } from './downlink/router-keys.ts';
import { Sender } from './forward/delivery/sender.ts';
import { Forwarder } from './forward/forwarder.ts';
import { createPublishMetrics, registerForward } from './forward/metrics.ts';
import { followingHistory } from './history/following.ts';
import type { History } from './history/history.ts';
import { historyRoutes } from './history/routes.ts';
import { holdFile } from './holds/hold-file.ts';
import { Holds } from './holds/holds.ts';
import { registerHolds } from './holds/metrics.ts';
import { holdRoutes } from './holds/routes.ts';
import { type Keys, openKeys, registerKeys } from './keys/keys.ts';
import { followPolicy, type LoadConfig, noteSections } from './policy/follow.ts';
import { openDoor } from './policy/open-door.ts';
import type { PolicyDoor } from './policy/policy-door.ts';
import type { PolicySource } from './policy/policy-source.ts';
import { registerCredentials } from './providers/credentials/metrics.ts';
import { CredentialPublisher } from './providers/credentials/rotating-publisher.ts';
import type { ProviderEntry } from './providers/provider-type.ts';
import type { TwinLink } from './providers/twin-link.ts';
import { LiveRouting } from './routing/live-routing.ts';
import { registerRouting } from './routing/metrics.ts';
import { RoutingFile } from './routing/routing-file.ts';
import { strandedStreams } from './routing/stranded.ts';
import { HeapGrowth } from './runtime/heap.ts';
import { registerEventLoop } from './runtime/metrics.ts';
import { registerStore } from './store/metrics.ts';
import { Store } from './store/store.ts';

/** The arguments that every room is made with. */
interface Site {
  door: PolicyDoor;
  config: AgentConfig;
  audit: AuditLog;
  keys: Keys;
  /** Providers that the configuration switches on. */
  enabled: readonly ProviderEntry[];
  clock: Clock;
  entropy: Entropy;
  log: (component: string) => Logger;
  registry: Registry;
}

/** The agent's parts in the order they start; they stop in reverse. The last one reads the policy again. */
async function createAgent(
  given: AgentConfig,
  load: LoadConfig,
  clock: Clock,
  entropy: Entropy,
): Promise<{ services: Service[]; policySource: PolicySource }> {
  const root = createLogger(given.log);
  const log = (component: string) => componentLogger(root, component, given.log);
  const door = await openDoor(given, clock, log('policy'));
  const config = { ...given, policy: door.present };
  const enabled = config.providers.filter((provider) => provider.enabled);
  tellEnvironmentEndpoints([...enabled, ...config.downlinks], log('agent'));
  const keys = await openKeys({ config, clock, entropy, log: log('keys') });
  const audit = new AuditLog({ dataDir: config.data_dir, program: 'agent', clock, entropy });
  await noteSections({ config: given, audit, via: 'start', clock, log: log('audit') });
  const site: Site = { door, config, audit, keys, enabled, clock, entropy, log, registry: new Registry() };
  const names = new ProcessNames({ clock, log: log('dns') });
  const buffer = createBuffer(site);
  const routing = createRouting(site, buffer);
  const forwarding = createForwarding(site, buffer, routing);
  const intake = createDeviceSide(site, buffer, routing);
  registerMetrics(site, { ...buffer, ...routing, ...forwarding, ...intake });
  registerNames(new ObservedMetrics(site.registry, 'headgate_agent_'), names);
  const admin = createAdmin(site, { ...buffer, ...routing, ...forwarding, ...intake });
  const heap = new HeapGrowth({ records: () => intake.intake.records, clock });
  const following = { ...site, ...buffer, ...routing, ...forwarding, ...intake, log: log('policy') };
  const policySource = followPolicy(following, given, load);
  const services = [
    ...[names, heap, keys.sealing, buffer.store, buffer.bootClock],
    ...[routing.routingFile, routing.history, routing.meter, routing.holds],
    ...[forwarding.forwarder, door, forwarding.routerKeys, ...forwarding.downlinks],
    ...(config.audit.ship ? [createShipper(site, buffer)] : []),
    ...[intake.devices, intake.broker, admin, policySource],
  ];
  return { services, policySource };
}

function createShipper({ config, audit, clock, log }: Site, { store }: BufferParts): Service {
  const folder = auditFolder(config.data_dir);
  return new AuditShipper({ audit, folder, store, clock, log: log('audit') });
}

interface BufferParts {
  bootId: string;
  bootClock: BootClock;
  store: Store;
}

/** The clock and the buffer. */
function createBuffer({ config, clock, entropy, log }: Site): BufferParts {
  const bootId = readBootId(entropy);
  const sync = new ClockSync({ mode: config.clock.synchronised, clock });
  const isSynchronised = () => sync.isSynchronised();
  const bootClock = new BootClock({ bootId, clock, log: log('clock'), isSynchronised });
  const store = new Store({
    ...bufferFile(config),
    gateway: config.gateway,
    bootId,
    clock,
    entropy,
    log: log('store'),
    limits: storeLimits(config),
    reserveBytes: config.buffer.disk_reserve,
  });
  bootClock.onRead((reading) => store.setClock(reading));
  return { bootId, bootClock, store };
}

interface RoutingParts {
  facts: readonly ProviderFacts[];
  /** By stream: the reason why its records can never leave. */
  stranded: () => ReadonlyMap<string, string>;
  routing: LiveRouting;
  routingFile: RoutingFile;
  history: History;
  meter: Meter;
  holds: Holds;
}

/** Routing, its costs and holds, and the history of its decisions. */
function createRouting(site: Site, { bootId, bootClock, store }: BufferParts): RoutingParts {
  const { door, config, enabled, clock, log } = site;
  const { gateway, policy, data_dir: folder } = config;
  const factsOf = (provider: ProviderEntry) => providerFacts(provider, tariffNamed(config, provider.name));
  const facts = enabled.map(factsOf);
  const stranded = () => strandedStreams(door.present, config.providers.map(factsOf));
  for (const [stream, reason] of stranded())
    log('routing').error({ event: 'routing.stranded', stream, reason });
  const routing = new LiveRouting({ policy, providers: facts, clock, log: log('routing') });
  const routingFile = new RoutingFile({
    file: join(folder, 'routing.json'),
    gateway,
    bootId,
    routing,
    clock,
    log: log('routing'),
  });
  const history = followingHistory({ ...site, bootClock, store, routing, facts, log: log('history') });
  const meter = new Meter({
    file: join(folder, 'usage.json'),
    gateway,
    providers: meteredProviders(config, enabled),
    cost: policy.cost,
    isSynchronised: () => bootClock.isSynchronised,
    dispatch: (event) => routing.dispatch(event),
    clock,
    log: log('cost'),
  });
  const holds = new Holds({
    file: holdFile(join(folder, 'holds.json'), gateway),
    now: () => bootClock.moment(),
    dispatch: (event) => routing.dispatch(event),
    clock,
    log: log('routing'),
  });
  return { facts, stranded, routing, routingFile, history, meter, holds };
}

interface ForwardingParts {
  publishers: ReadonlyMap<string, CredentialPublisher>;
  senders: ReadonlyMap<string, Sender>;
  forwarder: Forwarder;
  tracker: ReceiptTracker;
  receiver: ReceiptReceiver;
  routerKeys: RouterKeys;
  downlinks: readonly Downlink[];
}

/** The senders to the clouds, and the receipts that come back. */
function createForwarding(site: Site, buffer: BufferParts, parts: RoutingParts): ForwardingParts {
  const { config, enabled, clock, entropy, log } = site;
  const { routing, history, meter } = parts;
  const { gateway, policy } = config;
  const twins = twinLinks(config.downlinks, (provider, bytes) => meter.countTwin(provider, bytes));
  const publishers = createPublishers(site, buffer, routing, twins);
  const senders = createSenders(site, publishers, parts);
  const forwarder = new Forwarder({
    gateway,
    policy,
    store: buffer.store,
    routing,
    senders,
    currentClock: () => buffer.bootClock.current(),
    protect: site.keys.protect,
    onAccepted: (acceptance) => history.accepted(acceptance),
    clock,
    log: log('forward'),
    receipts: config.downlinks.length > 0,
  });
  const tracker = new ReceiptTracker({
    streams: () => forwarder.queued(),
    settlements: forwarder.settlements,
    routing,
    providers: enabled.map(({ name }) => name),
    lagMs: policy.failover.receipt_lag,
    clock,
    log: log('receipts'),
  });
  const trustedWallMs = () => buffer.bootClock.trustedWallMs();
  const receiving = { clock, log: log('receipts') };
  const routerKeys = new RouterKeys(config, receiving);
  const receiver = new ReceiptReceiver({ gateway, tracker, trust: routerKeys, trustedWallMs, ...receiving });
  const deps = { gateway, receiver, tracker, twins, clock, entropy, log: log('downlink') };
  const downlinks = config.downlinks.map((downlink) => openDownlink(downlink, deps));
  return { publishers, senders, forwarder, tracker, receiver, routerKeys, downlinks };
}

function createPublishers(
  { config, enabled, clock, log }: Site,
  { bootClock }: BufferParts,
  routing: LiveRouting,
  twins: ReadonlyMap<string, TwinLink>,
): ReadonlyMap<string, CredentialPublisher> {
  return new Map(
    enabled.map((provider) => [
      provider.name,
      new CredentialPublisher(provider, {
        onCut: (cut) => routing.dispatch({ kind: 'cut', provider: provider.name, cut }),
        twin: twins.get(provider.name),
        clock,
        log: log('cloud'),
        trustedWallMs: () => bootClock.trustedWallMs(),
        types: config.providerTypes,
      }),
    ]),
  );
}

function createSenders(
  { config, registry, clock, log }: Site,
  publishers: ReadonlyMap<string, CredentialPublisher>,
  { routing, meter }: RoutingParts,
): ReadonlyMap<string, Sender> {
  const metrics = createPublishMetrics(registry);
  const limits = envelopeLimits(config);
  return new Map(
    [...publishers].map(([provider, publisher]) => {
      const sender = new Sender({
        provider,
        publisher,
        routing,
        clock,
        log: log('forward'),
        count: (name, message, outcome) => meter.count(name, message, outcome),
        maxEnvelopeBytes: limits.get(provider) ?? 0,
        onOutcome: (outcome, latencyMs) => metrics.published(provider, outcome, latencyMs),
      });
      return [provider, sender];
    }),
  );
}

interface DeviceSide {
  intake: Intake;
  devices: Devices;
  sessions: Sessions;
  broker: Broker;
}

/** The broker with its devices and sessions, and the intake. */
function createDeviceSide(
  { config, clock, entropy, log }: Site,
  { store }: BufferParts,
  { facts }: RoutingParts,
): DeviceSide {
  const { allow_anonymous: allowAnonymous, local_topics: localTopics, sessions: kept } = config.broker;
  const rules = intakeRules(config, config.policy, facts);
  const intake = new Intake({ store, ...rules, clock, log: log('intake') });
  const devices = new Devices({ file: deviceFilePath(config.data_dir), clock, log: log('broker') });
  const sessions = new Sessions({
    store: kept.keep ? store : NOT_KEPT,
    clock,
    log: log('broker'),
    localTopics,
    limits: sessionLimits(config),
  });
  const broker = new Broker({
    sessions,
    listeners: listenerOptions(config),
    devices,
    allowAnonymous,
    limits: brokerLimits(config),
    localTopics,
    fits: (publish) => intake.fits(publish),
    intake: (publish, settled) => intake.take(publish, settled),
    clock,
    entropy,
    log: log('broker'),
  });
  return { intake, devices, sessions, broker };
}

type Parts = BufferParts & RoutingParts & ForwardingParts & DeviceSide;

function registerMetrics({ door, keys, registry }: Site, parts: Parts): void {
  const metrics = new ObservedMetrics(registry, 'headgate_agent_');
  registerBroker(metrics, parts);
  registerStore(metrics, parts.store);
  registerClock(metrics, parts.bootClock);
  registerForward(metrics, { ...parts, policy: () => door.present });
  registerRouting(metrics, parts.routing);
  registerHolds(metrics, parts);
  registerCosts(metrics, parts.meter);
  registerCredentials(registry, parts.publishers);
  registerReceipts(metrics, parts);
  registerKeys(metrics, keys, () => door.present);
  registerEventLoop(metrics);
}

function createAdmin(site: Site, parts: Parts): Service {
  const { door, config, audit, keys, clock, entropy, log, registry } = site;
  const { gateway } = config;
  const policy = () => door.present;
  const holds = holdRoutes({ holds: parts.holds, providers: parts.facts.map(({ name }) => name) });
  return new AdminServer({
    ...config.admin,
    checks: readinessChecks(parts),
    registry,
    routes: {
      ...statusRoutes({ ...parts, ...keys, door, config, clock }),
      ...clientRoutes({ ...parts, clock }),
      ...costRoutes({ meter: parts.meter, cost: () => door.present.cost }),
      ...explainRoutes({ ...parts, policy }),
      ...historyRoutes({ ...parts, gateway, policy }),
      ...holds.routes,
    },
    changes: holds.changes,
    audit,
    clock,
    entropy,
    log: log('admin'),
  });
}

/** Runs the agent until a signal ends it; resolves with the exit code. `load` reads the config again. */
export async function runAgent(config: AgentConfig, load: LoadConfig): Promise<number> {
  const log = componentLogger(createLogger(config.log), 'agent', config.log);
  await closeDataFolder(config.data_dir, log);
  const { services, policySource } = await createAgent(config, load, systemClock, systemEntropy);
  return runUntilStopped(services, systemClock, log, () => policySource.reload());
}
