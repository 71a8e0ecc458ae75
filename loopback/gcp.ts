/**
 * Pub/Sub on 127.0.0.1: the gRPC service of the SDK's own .proto files, behind two listeners. Gateways
 * publish to the listener behind a TCP proxy with the transport faults; subscribers use the other, so that a
 * fault affects only publishing. TLS with a certificate of the given CA, and a service account whose JWT is
 * checked on every call; or, with `insecure`, plaintext without credentials like the vendor's emulator. One
 * deliberate difference: `delivery_attempt` is set even without a dead letter policy.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { Logger } from '../shared/log.ts';
import { type Service, stopAll } from '../shared/service.ts';
import type { CertificateAuthority } from './ca.ts';
import { type Cloud, type CloudMeter, emptyMeter, type OnStored } from './cloud.ts';
import { type Fault, TRANSPORT_FAULTS } from './faults.ts';
import { Broker } from './gcp/broker.ts';
import { createGate } from './gcp/calls.ts';
import { Front } from './gcp/front.ts';
import { iamService } from './gcp/iam-service.ts';
import { loadPubSubServices } from './gcp/protos.ts';
import { publisherService } from './gcp/publisher-service.ts';
import { createServiceAccount, type ServiceAccount } from './gcp/service-account.ts';
import { subscriberService } from './gcp/subscriber-service.ts';
import { TokenEndpoint } from './gcp/token-endpoint.ts';
import { Overload, sourceSide } from './overload.ts';
import { PermanentRefusal } from './permanent-refusal.ts';
import { TcpProxy } from './tcp-proxy.ts';

const PROJECT = 'headgate-loopback';
const TOPIC = 'headgate';
const SUBSCRIPTION = 'headgate-router';
const REGION = 'us-central1';
/** Above the vendor's limit of 10 MB, so that the service, not the transport, refuses larger messages. */
const MAX_RECEIVE_BYTES = 32 * 1024 * 1024;

export interface GcpCloudOptions {
  /** Ports for gateways and for subscribers; free ones by default. */
  ports?: { ingest?: number; subscribe?: number };
  ca: CertificateAuthority;
  /** Path of the CA's PEM, for the config entries. */
  caFile: string;
  onStored?: OnStored;
  /** Plaintext without credentials, like the vendor's emulator. Default false. */
  insecure?: boolean;
  /**
   * Clients take access tokens of this life from a token endpoint, in place of the key in their
   * configuration: see `environment`.
   */
  tokenLifetimeMs?: number;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

interface Running {
  account: ServiceAccount;
  broker: Broker;
  server: Server;
  ingest: Front;
  subscribe: Front;
  proxy: TcpProxy;
  tokens: TokenEndpoint;
  consumers: Overload;
}

export class GcpCloud implements Cloud {
  readonly name = 'gcp';
  readonly refusal = new PermanentRefusal();
  readonly #options: GcpCloudOptions;
  readonly #meter = emptyMeter();
  #running: Running | null = null;
  #fault: Fault | null = null;

  constructor(options: GcpCloudOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { clock, entropy, ports, ca, onStored, insecure = false } = this.#options;
    const [account, services, certificate] = await Promise.all([
      createServiceAccount(PROJECT),
      loadPubSubServices(),
      insecure ? null : ca.issue('localhost', 'server'),
    ]);
    const broker = new Broker({ clock, entropy, counter: this.#meter, onStored });
    broker.createTopic(topicName(TOPIC));
    broker.createSubscription({
      name: subscriptionName(SUBSCRIPTION),
      topic: topicName(TOPIC),
      ackDeadlineSeconds: 10,
      enableExactlyOnceDelivery: false,
      filter: '',
    });
    const server = new Server({ 'grpc.max_receive_message_length': MAX_RECEIVE_BYTES });
    const targetPort = await listen(server);
    const ingest = new Front({ targetPort, port: 0, certificate });
    const subscribe = new Front({ targetPort, port: ports?.subscribe ?? 0, certificate });
    const fault = (): Fault | null => this.#fault;
    const issued = new Map<string, number>();
    const lifetimeMs = this.#options.tokenLifetimeMs ?? 0;
    const tokens = new TokenEndpoint({ tokens: issued, lifetimeMs, clock, entropy });
    const overload = {
      ingest: new Overload({ fault, clock, entropy }),
      subscribe: new Overload({ fault: () => sourceSide(this.#fault), clock, entropy }),
    };
    const access = { account: insecure ? null : account, tokens: issued };
    const onTurnedAway = (): void => {
      this.#meter.requests += 1;
    };
    const gate = createGate({ ingest, subscribe, ...access, overload, fault, onTurnedAway, clock });
    const { refusal } = this;
    const publisher = publisherService({ broker, gate, meter: this.#meter, fault, refusal });
    server.addService(services.publisher, publisher);
    server.addService(services.subscriber, subscriberService({ broker, gate }));
    server.addService(services.iam, iamService({ broker, gate }));
    await Promise.all([ingest.start(), subscribe.start(), tokens.start()]);
    const proxy = new TcpProxy({ targetPort: ingest.port, port: ports?.ingest ?? 0, clock, entropy });
    await proxy.start();
    this.#running = {
      account,
      broker,
      server,
      ingest,
      subscribe,
      proxy,
      tokens,
      consumers: overload.subscribe,
    };
    this.#options.log.info({
      event: 'loopback.started',
      cloud: 'gcp',
      port: proxy.port,
      subscribePort: subscribe.port,
    });
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = null;
    if (!running) return;
    const parts: Service[] = [running.proxy, running.ingest, running.subscribe, running.tokens];
    await stopAll([
      ...parts.map((part) => () => part.stop()),
      async () => running.server.forceShutdown(),
      async () => running.broker.close(),
    ]);
  }

  async setFault(fault: Fault | null): Promise<void> {
    const { ingest, proxy, broker, tokens } = this.#started();
    this.#fault = fault;
    ingest.setHtml503(fault?.name === 'html503');
    if (fault?.name !== 'reorder') broker.releaseHeld();
    if (fault?.name !== 'late') broker.releaseLate();
    tokens.setSilent(fault?.name === 'credentials-silent');
    await proxy.setFault(fault && TRANSPORT_FAULTS.has(fault.name) ? fault : null);
  }

  fault(): Fault | null {
    return this.#fault;
  }

  meter(): CloudMeter {
    const running = this.#running;
    return {
      ...structuredClone(this.#meter),
      unsettled: running?.broker.unsettled ?? 0,
      throttled: running?.consumers.turnedAway ?? 0,
    };
  }

  agentConfig(_gateway: string): Record<string, unknown> {
    return {
      name: 'gcp',
      type: 'gcp',
      region: REGION,
      project: PROJECT,
      topic: TOPIC,
      endpoint: `localhost:${this.#started().proxy.port}`,
      ...this.#access(),
    };
  }

  routerConfig(): Record<string, unknown> {
    return {
      name: 'gcp',
      type: 'gcp',
      project: PROJECT,
      subscription: SUBSCRIPTION,
      endpoint: `localhost:${this.#started().subscribe.port}`,
      ...this.#access(),
    };
  }

  /** The environment of clients that get access tokens; their files go to `dir`. */
  environment(dir: string): Promise<Record<string, string>> {
    return this.#started().tokens.environment(dir);
  }

  #access(): Record<string, unknown> {
    if (this.#options.insecure) return { insecure: true };
    if (this.#options.tokenLifetimeMs !== undefined) return { ca_file: this.#options.caFile };
    const { clientEmail, privateKey } = this.#started().account;
    return {
      ca_file: this.#options.caFile,
      credentials: { client_email: clientEmail, private_key: privateKey },
    };
  }

  #started(): Running {
    if (!this.#running) throw new Error('the loopback Pub/Sub is not started');
    return this.#running;
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

function topicName(topic: string): string {
  return `projects/${PROJECT}/topics/${topic}`;
}

function subscriptionName(subscription: string): string {
  return `projects/${PROJECT}/subscriptions/${subscription}`;
}
