/**
 * The agent's composition root: MQTT devices → broker → store → forwarder → clouds. Everything is made and wired here,
 * nowhere else; read it from top to bottom to know what the agent is.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { createAdminServer } from '../shared/admin-server.ts';
import { type Clock, systemClock } from '../shared/clock.ts';
import { type Entropy, systemEntropy } from '../shared/entropy.ts';
import { componentLogger, createLogger } from '../shared/log.ts';
import { runUntilStopped } from '../shared/process.ts';
import type { Service } from '../shared/service.ts';
import { BootClock, readBootId } from './boot-clock.ts';
import { Broker } from './broker/broker.ts';
import { deviceFilePath } from './broker/device-file.ts';
import { Devices } from './broker/devices.ts';
import { createIntake } from './broker/intake.ts';
import type { ListenerOptions } from './broker/listener.ts';
import { NOT_KEPT } from './broker/persistence/session-log.ts';
import { Sessions } from './broker/persistence/sessions.ts';
import { registerClock } from './clock-metrics.ts';
import { ClockSync } from './clock-sync.ts';
import { CredentialPublisher } from './cloud/credentials/publisher.ts';
import type { AgentConfig } from './config.ts';
import { Meter } from './cost/meter.ts';
import { registerCosts } from './cost/metrics.ts';
import { meteredProviders, tariffNamed } from './cost/tariffs.ts';
import { registerCredentials } from './credential-metrics.ts';
import { HttpsDownlink } from './downlink/https.ts';
import { ReceiptReceiver } from './downlink/receiver.ts';
import { Forwarder } from './forward/forwarder.ts';
import { LiveRouting } from './forward/live-routing.ts';
import { ReceiptTracker } from './forward/receipt-tracker.ts';
import { Sender } from './forward/sender.ts';
import { limitHeapGrowth } from './heap.ts';
import { createPublishMetrics, registerMeasured } from './metrics.ts';
import { providerFacts } from './provider-facts.ts';
import { registerReceipts } from './receipt-metrics.ts';
import { agentRoutes } from './status.ts';
import { DISK_ADVICE } from './store/disk-state.ts';
import { Store } from './store/store.ts';
import { storeLimits } from './store-limits.ts';

/** The agent's parts in the order they start; they stop in reverse. */
async function createAgent(config: AgentConfig, clock: Clock, entropy: Entropy): Promise<Service[]> {
  const root = createLogger(config.log);
  const log = (component: string) => componentLogger(root, component, config.log);
  await mkdir(config.data_dir, { recursive: true, mode: 0o750 });
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
  const routing = new LiveRouting({
    policy: config.policy,
    providers: enabled.map((provider) => providerFacts(provider, tariffNamed(config, provider.name))),
    clock,
    log: log('routing'),
  });
  const meter = new Meter({
    file: join(config.data_dir, 'usage.json'),
    providers: meteredProviders(config, enabled),
    cost: config.policy.cost,
    isSynchronised: () => bootClock.current().quality === 'synchronised',
    dispatch: (event) => routing.dispatch(event),
    clock,
    log: log('cost'),
  });
  const trustedWallMs = () => (bootClock.current().quality === 'synchronised' ? clock.wallMs() : null);
  const publishers = new Map(
    enabled.map((provider) => [
      provider.name,
      new CredentialPublisher(provider, { clock, log: log('cloud'), trustedWallMs }),
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
        count: (provider, message, outcome) => meter.count(provider, message, outcome),
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
  const downlinks = config.downlinks.map(
    (downlink) =>
      new HttpsDownlink({
        config: downlink,
        gateway: config.gateway,
        receiver,
        tracker,
        clock,
        entropy,
        log: log('downlink'),
      }),
  );

  const streams = Object.entries(config.policy.streams).map(([name, { topics }]) => ({
    name,
    filters: topics,
  }));
  const intake = createIntake({ store, streams, clock, log: log('intake') });
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
    intake: intake.take,
    clock,
    entropy,
    log: log('broker'),
  });
  const memoryStreams = new Set(
    streams.map(({ name }) => name).filter((name) => config.policy.streams[name]?.durability === 'memory'),
  );
  registerCosts(registry, meter);
  registerClock(registry, bootClock);
  registerCredentials(registry, publishers);
  registerReceipts(registry, { forwarder, tracker, receiver, downlinks });
  registerMeasured(registry, { broker, sessions, store, forwarder, routing, senders, memoryStreams });
  const admin = createAdminServer({
    ...config.admin,
    checks: {
      store: () => (store.state() === 'ok' ? null : storeProblem(store)),
      broker: () => (broker.addresses().length > 0 ? null : 'not listening'),
    },
    registry,
    routes: agentRoutes({
      config,
      store,
      broker,
      forwarder,
      routing,
      senders,
      meter,
      publishers,
      bootClock,
      clock,
    }),
    log: log('admin'),
  });
  return [store, bootClock, meter, forwarder, ...downlinks, devices, broker, admin];
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
  return { type, host, port, tls: { certFile, keyFile, clientCaFile, auth: listener.auth } };
}

/** Runs the agent until SIGTERM or SIGINT; resolves with the exit code. */
export async function runAgent(config: AgentConfig): Promise<number> {
  limitHeapGrowth();
  const services = await createAgent(config, systemClock, systemEntropy);
  return runUntilStopped(
    services,
    systemClock,
    componentLogger(createLogger(config.log), 'agent', config.log),
  );
}
