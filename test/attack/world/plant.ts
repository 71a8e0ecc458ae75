/**
 * What most attacks are played against: a loopback cloud, a router that reads it and has an endpoint of its
 * own, and an agent whose records wait, because its one provider is on hold. All sources accept signed
 * envelopes alone; `gw-1` is the agent, `gw-2` a gateway that an attacker owns, `good` one that works on.
 */
import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { stringify } from 'yaml';
import { agentConfigSchema } from '../../../agent/config/config.ts';
import { openPublisher } from '../../../agent/providers/open.ts';
import { typeOf } from '../../../agent/providers/provider-type.ts';
import type { Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import { PROVIDER_TYPES } from '../../../agent/providers/types.ts';
import { AwsCloud } from '../../../loopback/aws.ts';
import { AzureCloud } from '../../../loopback/azure.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from '../../../loopback/ca.ts';
import { GcpCloud } from '../../../loopback/gcp.ts';
import type { AgentStatus, RouterStatus } from '../../../shared/admin-api/status.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { attempt } from '../../attempt.ts';
import { startServers } from '../../crash-router/engines.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';
import type { Place, Provider } from '../attack.ts';
import { Program } from './program.ts';
import { Sender } from './sender.ts';

const GATEWAYS = ['gw-1', 'gw-2', 'good'] as const;
/** `stranger` is registered nowhere. */
const KEYS = [...GATEWAYS, 'stranger'] as const;
/** The gateway that works on comes from an address of its own. */
const GOOD_ADDRESS = '127.0.0.2';
const PUBLISH_MS_MAX = 20_000;
const TRIES_MAX = 5;

/** Beside the bytes: for routing in the cloud alone. */
const PROPERTIES = { hg: '2', gw: 'gw-1', ep: '1-aa', st: 'telemetry' } as const;

const silent = createLogger({ level: 'silent', levels: {} });

type StreamState = RouterStatus['gateways'][number]['streams'][number];

interface Side {
  provider: Record<string, unknown>;
  source: Record<string, unknown> | null;
  stop(): Promise<void>;
}

/** What each part leaves behind, in the order in which the parts began. */
type Ends = readonly (() => unknown)[];
type Parts = Pick<Plant, 'ca' | 'keys' | 'router' | 'agent' | 'brokerPort' | 'endpointPort' | 'senders'>;

export class Plant {
  readonly ca: CertificateAuthority;
  readonly keys: Readonly<Record<(typeof KEYS)[number], KeyObject>>;
  readonly router: Program;
  readonly agent: Program;
  readonly brokerPort: number;
  readonly endpointPort: number;
  /** `good` and `gw-2`, at the router's own endpoint. */
  readonly senders: Readonly<Record<'good' | 'gw-2', Sender>>;
  readonly #publisher: Publisher;
  readonly #ends: readonly (() => unknown)[];

  /** See {@link Plant.open}. */
  constructor(parts: Parts, publisher: Publisher, ends: Ends) {
    this.ca = parts.ca;
    this.keys = parts.keys;
    this.router = parts.router;
    this.agent = parts.agent;
    this.brokerPort = parts.brokerPort;
    this.endpointPort = parts.endpointPort;
    this.senders = parts.senders;
    this.#publisher = publisher;
    this.#ends = ends;
  }

  /** `more` is added to the source of the router's own endpoint, to router.yaml, to agent.yaml. */
  static async open(
    { engine, provider }: Pick<Place, 'engine' | 'provider'>,
    more: { source?: object; router?: object; agent?: object } = {},
  ): Promise<Plant> {
    const dir = mkdtempSync(join(tmpdir(), 'headgate-attack-'));
    const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
    try {
      return await openIn(dir, ends, { engine, provider, more });
    } catch (error) {
      for (const end of ends.toReversed()) await end();
      throw error;
    }
  }

  /** With the attacker's rights at the provider: any bytes. Tries again where the way failed. */
  async publish(bytes: Uint8Array): Promise<Outcome> {
    const message = { gateway: 'gw-1', stream: 'telemetry', bytes, properties: PROPERTIES };
    for (let tries = 1; ; tries += 1) {
      const outcome = await this.#publisher.publish(message, attempt(PUBLISH_MS_MAX));
      if (outcome.kind === 'accepted' || outcome.kind === 'rejected' || tries === TRIES_MAX) return outcome;
    }
  }

  /** Publishes, and waits until the router has set it aside. */
  async refused(bytes: Uint8Array): Promise<void> {
    const before = await this.letters();
    await this.publish(bytes);
    await until('a dead letter', async () => (await this.letters()) > before);
  }

  async letters(reason = ''): Promise<number> {
    return this.router.metric('headgate_router_dead_letters_total', reason);
  }

  status(): Promise<RouterStatus> {
    return this.router.ask<RouterStatus>('/v1/status?limit=10000');
  }

  async stream(gateway: string, stream: string, epoch = ''): Promise<StreamState | null> {
    const { gateways } = await this.status();
    const streams = gateways.find((one) => one.gateway === gateway)?.streams ?? [];
    return streams.find((one) => one.stream === stream && one.epoch.includes(epoch)) ?? null;
  }

  agentStatus(): Promise<AgentStatus> {
    return this.agent.ask<AgentStatus>('/v1/status');
  }

  /** Publishes records of the agent's devices; each is acknowledged, so it is on the agent's disk. */
  async record(payloads: readonly string[]): Promise<void> {
    const device = await connectAsync(`mqtt://127.0.0.1:${this.brokerPort}`, { clientId: 'pump' });
    for (const payload of payloads) await device.publishAsync('plant/pump/bar', payload, { qos: 1 });
    await device.endAsync();
  }

  /** The agent's provider takes its records from now on. */
  async release(): Promise<void> {
    await this.agent.ask(`/v1/holds?provider=attacked&all=yes`, { method: 'DELETE' });
  }

  ended(): string | null {
    return this.router.ended() ?? this.agent.ended();
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
  }
}

interface Wanted extends Pick<Place, 'engine' | 'provider'> {
  more: { source?: object; router?: object; agent?: object };
}

async function openIn(
  dir: string,
  ends: (() => unknown)[],
  { engine, provider, more }: Wanted,
): Promise<Plant> {
  const ca = await createCertificateAuthority(clock, entropy);
  const write = writerIn(dir);
  const caFile = write('ca.pem', ca.ca);
  const keys = Object.fromEntries(KEYS.map((name) => [name, newPrivateKey(entropy)])) as Plant['keys'];
  const certificates = new Map<string, KeyAndCertificate>();
  for (const name of GATEWAYS) certificates.set(name, await ca.issue(name, 'client'));
  const servers = engine === 'sqlite' ? null : await startServers(engine);
  if (servers) ends.push(() => servers.remove());
  const endpointPort = await freePort();
  const pair = (name: string, { cert, key }: KeyAndCertificate) => ({
    cert_file: write(`${name}.crt`, cert),
    key_file: write(`${name}.key`, key),
  });
  const own = pair('gw-1', certificateOf(certificates, 'gw-1'));
  const url = `https://localhost:${endpointPort}`;
  const side = await sideOf(provider, { ca, caFile, url, own });
  ends.push(() => side.stop());
  const gatewaysFile = write('gateways.yaml', stringify({ gateways: registered(keys) }));
  const router = await Program.start('router', join(dir, 'router'), {
    gateways_file: gatewaysFile,
    sources: [
      ...(side.source ? [{ ...side.source, name: 'attacked', accept: 'signed' }] : []),
      {
        name: 'own',
        type: 'https',
        port: endpointPort,
        client_ca_file: caFile,
        accept: 'signed',
        ...pair('server', await ca.issue('localhost', 'server')),
        ...more.source,
      },
    ],
    ...(servers && { ledger: servers.ledgerSection }),
    ...more.router,
  });
  ends.push(() => router.stop());
  await until('the router is connected', async () => {
    const { sources } = await router.ask<RouterStatus>('/v1/status');
    return sources.every(({ connected }) => connected);
  });
  const brokerPort = await freePort();
  const agent = await Program.start('agent', join(dir, 'agent'), {
    gateway: 'gw-1',
    signing: {
      envelopes: true,
      key_file: write('signing.key', keys['gw-1'].export({ type: 'pkcs8', format: 'pem' })),
    },
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: brokerPort }] },
    providers: [{ ...side.provider, name: 'attacked' }],
    downlinks: [{ name: 'own', type: 'https', url, ca_file: caFile, ...own }],
    policy: { streams: { telemetry: { topics: ['#'], until: 'receipt' } } },
    ...more.agent,
  });
  ends.push(() => agent.stop());
  await agent.ask('/v1/holds', {
    method: 'PUT',
    body: JSON.stringify({ provider: 'attacked', reason: 'attack' }),
    headers: { 'content-type': 'application/json' },
  });
  const sender = (name: 'good' | 'gw-2', localAddress: string) => {
    const certificate = certificateOf(certificates, name);
    return new Sender({ port: endpointPort, ca: ca.ca, certificate, localAddress });
  };
  const senders = { good: sender('good', GOOD_ADDRESS), 'gw-2': sender('gw-2', '127.0.0.1') };
  ends.push(() => {
    for (const one of Object.values(senders)) one.close();
  });
  const stranger = pair('stranger', certificateOf(certificates, 'gw-2'));
  const publisher = await publisherOf(
    provider === 'https' ? { ...side.provider, ...stranger } : side.provider,
  );
  ends.push(() => publisher.close());
  return new Plant({ ca, keys, router, agent, brokerPort, endpointPort, senders }, publisher, ends);
}

function writerIn(dir: string): (name: string, text: string | Buffer) => string {
  return (name, text) => {
    const file = join(dir, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
}

function certificateOf(certificates: ReadonlyMap<string, KeyAndCertificate>, name: string) {
  const found = certificates.get(name);
  if (!found) throw new Error(`no certificate of ${name}`);
  return found;
}

function registered(keys: Plant['keys']): Record<string, object> {
  return Object.fromEntries(
    GATEWAYS.map((name) => {
      const pem = createPublicKey(keys[name]).export({ type: 'spki', format: 'pem' });
      return [name, { public_keys: [pem] }];
    }),
  );
}

/** The provider's servers, and the entries of agent and router for them. */
async function sideOf(
  provider: Provider,
  { ca, caFile, url, own }: { ca: CertificateAuthority; caFile: string; url: string; own: object },
): Promise<Side> {
  if (provider === 'https') {
    const entry = { name: 'attacked', type: 'https', url, ca_file: caFile, ...own };
    return { provider: entry, source: null, stop: () => Promise.resolve() };
  }
  if (provider === 'mqtt') {
    const broker = await startBroker();
    const entry = { name: 'attacked', type: 'mqtt', url: `mqtt://127.0.0.1:${broker.port}` };
    return { provider: entry, source: { ...entry, topic_authenticated: true }, stop: broker.stop };
  }
  const options = { ca, caFile, clock, entropy, log: silent };
  const makes = { aws: AwsCloud, azure: AzureCloud, gcp: GcpCloud };
  const cloud = new makes[provider](options);
  await cloud.start();
  return {
    provider: cloud.agentConfig('gw-1'),
    source: cloud.routerConfig(),
    stop: () => cloud.stop(),
  };
}

async function publisherOf(entry: Record<string, unknown>): Promise<Publisher> {
  const { providers } = agentConfigSchema.parse({
    gateway: 'gw-1',
    data_dir: '/nowhere',
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }] },
    providers: [entry],
    policy: {},
  });
  const [provider] = providers;
  if (!provider) throw new Error('no provider');
  return openPublisher(typeOf(PROVIDER_TYPES, provider), provider, { clock, log: silent });
}

async function startBroker(): Promise<{ port: number; stop(): Promise<void> }> {
  const aedes = await Aedes.createBroker();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await new Promise<void>((resolve) => aedes.close(resolve));
    },
  };
}
