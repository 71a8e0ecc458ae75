/**
 * The agent's composition root: MQTT devices → broker → store → forwarder → clouds. Everything is made and
 * wired here, nowhere else; read it from top to bottom to know what the agent is.
 */
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { AdminServer } from '../shared/admin-server.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { componentLogger, createLogger } from '../shared/log.ts';
import { runUntilStopped } from '../shared/process.ts';
import type { Service } from '../shared/service.ts';
import { explainRoute } from './admin/explain-route.ts';
import { agentRoutes } from './admin/status.ts';
import { deviceFilePath } from './broker/access/device-file.ts';
import { Devices } from './broker/access/devices.ts';
import { Broker } from './broker/broker.ts';
import { Intake } from './broker/intake.ts';
import type { ListenerOptions } from './broker/listeners/listener.ts';
import { NOT_KEPT } from './broker/persistence/session-log.ts';
import { Sessions } from './broker/persistence/sessions.ts';
import { BootClock, readBootId } from './clock/boot-clock.ts';
import { ClockSync } from './clock/clock-sync.ts';
import { registerClock } from './clock/metrics.ts';
import type { AgentConfig } from './config/config.ts';
import { providerFacts } from './config/provider-facts.ts';
import { storeLimits } from './config/store-limits.ts';
import { Meter } from './cost/meter.ts';
import { registerCosts } from './cost/metrics.ts';
import { meteredProviders, tariffNamed } from './cost/tariffs.ts';
import { registerReceipts } from './downlink/metrics.ts';
import { openDownlink, twinLinks } from './downlink/open.ts';
import { ReceiptTracker } from './downlink/receipt-tracker.ts';
import { ReceiptReceiver } from './downlink/receiver.ts';
import { Sender } from './forward/delivery/sender.ts';
import { Forwarder } from './forward/forwarder.ts';
import { History } from './history/history.ts';
import { historyRoutes } from './history/routes.ts';
import { holdFile } from './holds/hold-file.ts';
import { Holds } from './holds/holds.ts';
import { registerHolds } from './holds/metrics.ts';
import { holdRoutes } from './holds/routes.ts';
import { createPublishMetrics, registerMeasured } from './metrics.ts';
import { registerCredentials } from './providers/credentials/metrics.ts';
import { CredentialPublisher } from './providers/credentials/rotating-publisher.ts';
import { LiveRouting } from './routing/live-routing.ts';
import { RoutingFile } from './routing/routing-file.ts';
import { HeapGrowth } from './runtime/heap.ts';
import { DISK_ADVICE } from './store/disk-state.ts';
import { Store } from './store/store.ts';

/** The agent's parts in the order they start; they stop in reverse. */
function createAgent(config: AgentConfig, clock: Clock, entropy: Entropy): Service[] {
  const root = createLogger(config.log);
  const log = (component: string) => componentLogger(root, component, config.log);
  const registry = new Registry();
  const metrics = createPublishMetrics(registry);

  const bootId = readBootId(entropy);
  const sync = new ClockSync({ mode: config.clock.synchronised, clock });
  const isSynchronised = () => sync.isSynchronised();
  const bootClock = new BootClock({ bootId, clock, log: log('clock'), isSynchronised });
  const store = new Store({
    file: join(config.data_dir, 'buffer.db'),
    bootId,
    clock,
    entropy,
    log: log('store'),
    limits: storeLimits(config),
    reserveBytes: config.buffer.disk_reserve,
  });
  bootClock.onRead((reading) => store.setClock(reading));

  const enabled = config.providers.filter((provider) => provider.enabled);
  const facts = enabled.map((provider) => providerFacts(provider, tariffNamed(config, provider.name)));
  const routing: LiveRouting = new LiveRouting({
    policy: config.policy,
    providers: facts,
    onStep: (event, effects) => history.observed(event, effects),
    clock,
    log: log('routing'),
  });
  const routingFile = new RoutingFile({
    file: join(config.data_dir, 'routing.json'),
    bootId,
    routing,
    clock,
    log: log('routing'),
  });
  const history = new History({
    folder: join(config.data_dir, 'history'),
    bounds: { maxBytes: config.history.max_bytes, maxAgeMs: config.history.max_age },
    writeEveryMs: config.history.write_every,
    setup: { gateway: config.gateway, policy: config.policy, providers: facts },
    routingNow: () => ({ providers: routing.providers(), chosen: routing.chosen(), seen: routing.seen() }),
    currentClock: () => bootClock.current(),
    mayWrite: () => store.state() === 'ok',
    clock,
    log: log('history'),
  });
  store.onCommit((committed) => history.committed(committed));
  store.onGaps((gaps) => history.gaveUp(gaps));
  store.onReopen(() => history.epochBegan());
  const meter = new Meter({
    file: join(config.data_dir, 'usage.json'),
    providers: meteredProviders(config, enabled),
    cost: config.policy.cost,
    isSynchronised: () => bootClock.current().quality === 'synchronised',
    dispatch: (event) => routing.dispatch(event),
    clock,
    log: log('cost'),
  });
  const holds = new Holds({
    file: holdFile(join(config.data_dir, 'holds.json')),
    now: () => {
      const { bootId: boot, quality } = bootClock.current();
      return {
        bootId: boot,
        monoMs: clock.monoMs(),
        wallMs: clock.wallMs(),
        synchronised: quality === 'synchronised',
      };
    },
    dispatch: (event) => routing.dispatch(event),
    clock,
    log: log('routing'),
  });
  const trustedWallMs = () => (bootClock.current().quality === 'synchronised' ? clock.wallMs() : null);
  const twins = twinLinks(config.downlinks, (provider, bytes) => meter.countTwin(provider, bytes));
  const publishers = new Map(
    enabled.map((provider) => [
      provider.name,
      new CredentialPublisher(provider, {
        onCut: (cut) => routing.dispatch({ kind: 'cut', provider: provider.name, cut }),
        twin: twins.get(provider.name),
        clock,
        log: log('cloud'),
        trustedWallMs,
      }),
    ]),
  );
  const senders = new Map(
    [...publishers].map(([name, publisher]) => {
      const sender = new Sender({
        provider: name,
        publisher,
        routing,
        clock,
        log: log('forward'),
        count: (provider, message, outcome) => {
          if (outcome.kind === 'accepted') history.delivered(message);
          return meter.count(provider, message, outcome);
        },
        onOutcome: (outcome, latencyMs) => metrics.published(name, outcome, latencyMs),
      });
      return [name, sender];
    }),
  );
  const forwarder = new Forwarder({
    gateway: config.gateway,
    policy: config.policy,
    store,
    routing,
    senders,
    currentClock: () => bootClock.current(),
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
    lagMs: config.policy.failover.receipt_lag,
    clock,
    log: log('receipts'),
  });
  const receiver = new ReceiptReceiver({ gateway: config.gateway, tracker, log: log('receipts') });
  const downlinks = config.downlinks.map((downlink) =>
    openDownlink(downlink, {
      gateway: config.gateway,
      receiver,
      tracker,
      twins,
      clock,
      entropy,
      log: log('downlink'),
    }),
  );

  const streams = Object.entries(config.policy.streams).map(([name, { topics }]) => ({
    name,
    filters: topics,
  }));
  const intake = new Intake({ store, streams, clock, log: log('intake') });
  const devices = new Devices({ file: deviceFilePath(config.data_dir), clock, log: log('broker') });
  const { sessions: kept } = config.broker;
  const sessions = new Sessions({
    store: kept.keep ? store : NOT_KEPT,
    clock,
    log: log('broker'),
    localTopics: config.broker.local_topics,
    limits: {
      maxSessions: kept.max_sessions,
      expireAfterMs: kept.expire_after,
      maxQueuedMessages: kept.max_queued_messages,
      maxQueuedBytes: kept.max_queued_bytes,
      maxTotalQueuedBytes: kept.max_total_queued_bytes,
      maxRetainedMessages: kept.max_retained_messages,
      maxRetainedBytes: kept.max_retained_bytes,
    },
  });
  const broker = new Broker({
    sessions,
    listeners: config.broker.listeners.map(listenerOptions),
    devices,
    allowAnonymous: config.broker.allow_anonymous,
    limits: {
      maxPacketBytes: config.broker.max_packet_bytes,
      connectTimeoutMs: config.broker.connect_timeout,
      maxConnections: config.broker.max_connections,
      maxSubscriptions: config.broker.max_subscriptions,
      maxTopicBytes: config.broker.max_topic_bytes,
      maxTopicLevels: config.broker.max_topic_levels,
      maxConnectRate: config.broker.max_connect_rate,
      maxConnectRatePerAddress: config.broker.max_connect_rate_per_address,
      maxPublishRate: config.broker.max_publish_rate,
      maxPublishBytesRate: config.broker.max_publish_bytes,
      maxUnsentBytes: config.broker.max_unsent_bytes,
    },
    localTopics: config.broker.local_topics,
    intake: (publish, settled) => intake.take(publish, settled),
    clock,
    entropy,
    log: log('broker'),
  });
  const memoryStreams = new Set(
    streams.map(({ name }) => name).filter((name) => config.policy.streams[name]?.durability === 'memory'),
  );
  registerCosts(registry, meter);
  registerClock(registry, bootClock);
  registerHolds(registry, routing, holds);
  registerCredentials(registry, publishers);
  registerReceipts(registry, { forwarder, tracker, receiver, downlinks });
  registerMeasured(registry, { broker, sessions, store, forwarder, routing, senders, memoryStreams });
  const holdRoute = holdRoutes({ holds, providers: facts.map(({ name }) => name) });
  const admin = new AdminServer({
    ...config.admin,
    checks: {
      store: () => (store.state() === 'ok' ? null : storeProblem(store)),
      broker: () => (broker.addresses().length > 0 ? null : 'not listening'),
    },
    registry,
    routes: {
      ...agentRoutes({
        config,
        store,
        broker,
        forwarder,
        routing,
        senders,
        meter,
        publishers,
        holds,
        bootClock,
        clock,
      }),
      '/v1/explain': explainRoute({ policy: config.policy, routing, history, holds }),
      '/v1/holds': holdRoute.get,
      ...historyRoutes({ gateway: config.gateway, policy: config.policy, store, history }),
    },
    changes: { '/v1/holds': holdRoute.changes },
    log: log('admin'),
  });
  const heap = new HeapGrowth({ records: () => recordsOf(intake), clock });
  return [
    ...[heap, store, bootClock, routingFile, history, meter, holds],
    ...[forwarder, ...downlinks, devices, broker, admin],
  ];
}

/** Taken since the start, of all streams. */
function recordsOf(intake: Intake): number {
  return [...intake.counters().values()].reduce((sum, { records }) => sum + records, 0);
}

/** Its state, what to do, and the error. */
function storeProblem(store: Store): string {
  const state = store.state();
  const said = [state, DISK_ADVICE[state], store.lastError?.message].filter((text) => text);
  return said.join('; ');
}

function listenerOptions(listener: AgentConfig['broker']['listeners'][number]): ListenerOptions {
  const { type, host, port, cert_file: certFile, key_file: keyFile, client_ca_file: clientCaFile } = listener;
  if (type !== 'tls') return { type, host, port };
  if (certFile === undefined || keyFile === undefined)
    throw new Error('the schema lets no such listener pass');
  const { auth, device_name: deviceName } = listener;
  return { type, host, port, tls: { certFile, keyFile, clientCaFile, auth, deviceName } };
}

/** Runs the agent until SIGTERM or SIGINT; resolves with the exit code. */
export async function runAgent(config: AgentConfig): Promise<number> {
  const services = createAgent(config, systemClock, systemEntropy);
  return runUntilStopped(
    services,
    systemClock,
    componentLogger(createLogger(config.log), 'agent', config.log),
  );
}
