/**
 * The target of most attacks: a loopback cloud, a router that reads it and has an endpoint of its own, and an
 * agent whose records wait, because its one provider is on hold. All sources accept signed envelopes alone;
 * `gw-1` is the agent, `gw-2` a gateway that an attacker owns, `good` one that works on.
 */
import type { KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { stringify } from 'yaml';
import type { Outcome, Publisher } from '../../../agent/providers/publisher.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from '../../../loopback/ca.ts';
import type { AgentStatus, RouterStatus } from '../../../shared/admin-api/status.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { attempt } from '../../attempt.ts';
import { headgate } from '../../cli/run.ts';
import { startServers } from '../../crash-router/engines.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';
import type { Place } from '../attack.ts';
import { Program } from './program.ts';
import { Sender } from './sender.ts';
import { publisherOf, type Side, sideOf } from './side.ts';

const GATEWAYS = ['gw-1', 'gw-2', 'good'] as const;
/** `stranger` is registered nowhere. */
const KEYS = [...GATEWAYS, 'stranger'] as const;
/** The gateway that works on comes from an address of its own. */
const GOOD_ADDRESS = '127.0.0.2';
const PUBLISH_MS_MAX = 20_000;
const TRIES_MAX = 5;

/** Beside the bytes: for routing in the cloud alone. */
const PROPERTIES = { hg: '2', gw: 'gw-1', ep: '1-aa', st: 'telemetry' } as const;

type StreamState = RouterStatus['gateways'][number]['streams'][number];

/** The ends of the parts, in the order in which the parts began. */
type Ends = readonly (() => unknown)[];
type Parts = Pick<
  Plant,
  'ca' | 'keys' | 'router' | 'agent' | 'brokerPort' | 'endpointPort' | 'gatewaysFile' | 'senders'
>;

/** Added to the source of the router's own endpoint, to router.yaml, to agent.yaml. */
export interface PlantOptions {
  source?: object;
  router?: object;
  agent?: object;
}

interface Hidden {
  certificates: ReadonlyMap<string, KeyAndCertificate>;
  crlFile: string;
  publisher: Publisher;
  ends: Ends;
}

export class Plant {
  readonly ca: CertificateAuthority;
  readonly keys: Readonly<Record<(typeof KEYS)[number], KeyObject>>;
  readonly router: Program;
  readonly agent: Program;
  readonly brokerPort: number;
  readonly endpointPort: number;
  /** The router's file of keys; it follows changes. */
  readonly gatewaysFile: string;
  /** `good` and `gw-2`, at the router's own endpoint. */
  readonly senders: Readonly<Record<'good' | 'gw-2', Sender>>;
  readonly #certificates: ReadonlyMap<string, KeyAndCertificate>;
  readonly #crlFile: string;
  readonly #publisher: Publisher;
  readonly #ends: readonly (() => unknown)[];

  /** See {@link Plant.open}. */
  constructor(parts: Parts, hidden: Hidden) {
    this.ca = parts.ca;
    this.keys = parts.keys;
    this.router = parts.router;
    this.agent = parts.agent;
    this.brokerPort = parts.brokerPort;
    this.endpointPort = parts.endpointPort;
    this.gatewaysFile = parts.gatewaysFile;
    this.senders = parts.senders;
    this.#certificates = hidden.certificates;
    this.#crlFile = hidden.crlFile;
    this.#publisher = hidden.publisher;
    this.#ends = hidden.ends;
  }

  static async open(
    { engine, provider }: Pick<Place, 'engine' | 'provider'>,
    more: PlantOptions,
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

  certificate(gateway: (typeof GATEWAYS)[number]): KeyAndCertificate {
    return certificateOf(this.#certificates, gateway);
  }

  /** Revokes a gateway's certificate; the router follows the file. */
  async revoke(gateway: (typeof GATEWAYS)[number]): Promise<void> {
    writeFileSync(this.#crlFile, await this.ca.revoke([this.certificate(gateway).cert]));
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
  more: PlantOptions;
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
  const crlFile = write('crl.pem', await ca.revoke([]));
  const pair = (name: string, { cert, key }: KeyAndCertificate) => ({
    cert_file: write(`${name}.crt`, cert),
    key_file: write(`${name}.key`, key),
  });
  const own = pair('gw-1', certificateOf(certificates, 'gw-1'));
  const url = `https://localhost:${endpointPort}`;
  const side = await sideOf(provider, { ca, caFile, url, own });
  ends.push(() => side.stop());
  const gatewaysFile = write('gateways.yaml', stringify({ gateways: registered(keys) }));
  const endpoint = {
    port: endpointPort,
    client_ca_file: caFile,
    client_crl_file: crlFile,
    ...pair('server', await ca.issue('localhost', 'server')),
    ...more.source,
  };
  const router = await startRouter(dir, side, endpoint, {
    gateways_file: gatewaysFile,
    ...(servers && { ledger: servers.ledgerSection }),
    ...more.router,
  });
  ends.push(() => router.stop());
  const brokerPort = await freePort();
  const agent = await startAgent(dir, side, brokerPort, {
    signing: { envelopes: true, key_file: write('signing.key', pemOf(keys['gw-1'])) },
    downlinks: [{ name: 'own', type: 'https', url, ca_file: caFile, ...own }],
    receipts: { accept: 'signed', router_keys: [await keyOf(router)] },
    ...more.agent,
  });
  ends.push(() => agent.stop());
  const sender = (name: 'good' | 'gw-2', localAddress: string) => {
    const certificate = certificateOf(certificates, name);
    return new Sender({ port: endpointPort, ca: ca.ca, certificate, localAddress });
  };
  const senders = { good: sender('good', GOOD_ADDRESS), 'gw-2': sender('gw-2', '127.0.0.1') };
  ends.push(() => Object.values(senders).map((one) => one.close()));
  // At the router itself nobody publishes as another gateway: the attacker is gw-2.
  const access = provider === 'https' ? pair('attacker', certificateOf(certificates, 'gw-2')) : {};
  const publisher = await publisherOf({ ...side.provider, ...access });
  ends.push(() => publisher.close());
  return new Plant(
    { ca, keys, router, agent, brokerPort, endpointPort, gatewaysFile, senders },
    { certificates, crlFile, publisher, ends },
  );
}

async function startRouter(dir: string, { source }: Side, endpoint: object, rest: object): Promise<Program> {
  const entries = [
    ...(source ? [{ ...source, name: 'attacked' }] : []),
    { name: 'own', type: 'https', ...endpoint },
  ];
  const sources = entries.map((entry) => ({ ...entry, accept: 'signed' }));
  const router = await Program.start('router', join(dir, 'router'), { sources, ...rest });
  await until('the router is connected', async () => {
    const { sources } = await router.ask<RouterStatus>('/v1/status');
    return sources.every(({ connected }) => connected);
  });
  return router;
}

/**
 * The public key of the router's receipts, as its operator prints it. A process of its own: root's commands
 * go into the folder.
 */
async function keyOf({ configFile }: Program): Promise<string> {
  const { code, stdout, stderr } = await headgate(['keys', 'export', '--config', configFile]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** Its one provider is on hold: records wait. */
async function startAgent(dir: string, { provider }: Side, port: number, rest: object): Promise<Program> {
  const agent = await Program.start('agent', join(dir, 'agent'), {
    gateway: 'gw-1',
    broker: { allow_anonymous: true, listeners: [{ type: 'tcp', host: '127.0.0.1', port }] },
    providers: [{ ...provider, name: 'attacked' }],
    policy: { streams: { telemetry: { topics: ['#'], until: 'receipt' } } },
    ...rest,
  });
  await agent.ask('/v1/holds', {
    method: 'PUT',
    body: JSON.stringify({ provider: 'attacked', reason: 'attack' }),
    headers: { 'content-type': 'application/json' },
  });
  return agent;
}

const pemOf = (key: KeyObject): string | Buffer => key.export({ type: 'pkcs8', format: 'pem' });

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
