/**
 * An agent with its broker: over TCP, WebSocket and TLS, with devices `good`, `evil`, `fresh` and a
 * certificate for each. Its provider cannot be reached. Each attack comes from an address of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashPassword } from '../../../agent/broker/access/password.ts';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from '../../../loopback/ca.ts';
import type { AgentStatus } from '../../../shared/admin-api/status.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { systemEntropy as entropy } from '../../../shared/entropy.ts';
import { connect as connectPacket, publish, splitPackets } from '../../agent/broker/conformance/packets.ts';
import { CONNACK_OK } from '../../agent/broker/raw-client.ts';
import { freePort } from '../../servers/free-port.ts';
import { until } from '../../until.ts';
import { Program } from './program.ts';

export const PASSWORD = 'correct-horse-battery';
/** Writes after which a flood is in force. */
const FLOODING_AFTER = 5;
const NAMES = ['good', 'evil', 'fresh'] as const;
/** The devices that work on come from here. */
const GOOD_ADDRESS = '127.0.0.2';

interface SiteOptions {
  broker?: object;
  agent?: object;
  /** Where its admin server listens. */
  host?: string;
  /** Of the login there. */
  token?: string;
}

export class Site {
  readonly agent: Program;
  readonly ca: CertificateAuthority;
  readonly ports: Readonly<Record<'tcp' | 'ws' | 'tls', number>>;
  readonly certificates: ReadonlyMap<string, KeyAndCertificate>;
  readonly dir: string;

  /** See {@link Site.open}. */
  constructor(parts: Pick<Site, 'agent' | 'ca' | 'ports' | 'certificates' | 'dir'>) {
    this.agent = parts.agent;
    this.ca = parts.ca;
    this.ports = parts.ports;
    this.certificates = parts.certificates;
    this.dir = parts.dir;
  }

  static async open({ broker = {}, agent = {}, host = '127.0.0.1', token }: SiteOptions = {}): Promise<Site> {
    const dir = mkdtempSync(join(tmpdir(), 'headgate-attack-'));
    const ca = await createCertificateAuthority(clock, entropy);
    const certificates = new Map<string, KeyAndCertificate>();
    for (const name of NAMES) certificates.set(name, await ca.issue(name, 'client'));
    const server = await ca.issue('localhost', 'server');
    const write = (name: string, text: string): string => {
      const file = join(dir, name);
      writeFileSync(file, text, { mode: 0o600 });
      return file;
    };
    const ports = { tcp: await freePort(), ws: await freePort(), tls: await freePort() };
    mkdirSync(join(dir, 'agent', 'data'), { recursive: true, mode: 0o700 });
    write('agent/data/devices.json', JSON.stringify(await devices()));
    const tls = {
      cert_file: write('server.crt', server.cert),
      key_file: write('server.key', server.key),
      client_ca_file: write('ca.pem', ca.ca),
      client_crl_file: write('crl.pem', await ca.revoke([])),
      auth: 'either',
    };
    const listeners = [
      { type: 'tcp', host: '127.0.0.1', port: ports.tcp },
      { type: 'ws', host: '127.0.0.1', port: ports.ws },
      { type: 'tls', host: '127.0.0.1', port: ports.tls, ...tls },
    ];
    const program = await Program.start(
      'agent',
      join(dir, 'agent'),
      {
        gateway: 'gw-1',
        broker: { listeners, ...broker },
        providers: [{ name: 'away', type: 'mqtt', url: `mqtt://127.0.0.1:${await freePort()}` }],
        policy: { streams: { telemetry: { topics: ['#'] } } },
        ...agent,
      },
      { host, token },
    );
    return new Site({ agent: program, ca, ports, certificates, dir });
  }

  /** Revokes a device's certificate; the agent follows the file. */
  async revoke(name: string): Promise<void> {
    const cert = this.certificates.get(name)?.cert ?? '';
    writeFileSync(join(this.dir, 'crl.pem'), await this.ca.revoke([cert]));
  }

  status(): Promise<AgentStatus> {
    return this.agent.ask<AgentStatus>('/v1/status');
  }

  async refusals(reason: string): Promise<number> {
    return (await this.status()).broker.refusals[reason] ?? 0;
  }

  ended(): string | null {
    return this.agent.ended();
  }

  async stop(): Promise<void> {
    await this.agent.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function devices(): Promise<object> {
  const password = await hashPassword(PASSWORD, entropy);
  const rules = [{ allow: 'both', topic: 'plant/#' }];
  return {
    version: 1,
    groups: [],
    devices: NAMES.map((name) => ({ name, password, created: '2026-01-01T00:00:00Z', rules })),
  };
}

interface DeviceOptions {
  port: number;
  name?: string;
  clientId?: string;
  password?: string;
  localAddress?: string;
  clean?: boolean;
}

/** A device that sends exactly these bytes. */
export class Device {
  readonly socket: Socket;
  #received = '';
  /** Called when something was received, or the connection ended. */
  #onChange: () => void = () => undefined;
  #id = 0;

  constructor({ port, localAddress = GOOD_ADDRESS }: Pick<DeviceOptions, 'port' | 'localAddress'>) {
    this.socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.socket.on('error', () => undefined);
    for (const event of ['end', 'close']) this.socket.on(event, () => this.#onChange());
    this.socket.setEncoding('hex').on('data', (hex: string) => {
      this.#received += hex;
      // Whole packets leave; what is searched for stays short.
      if (this.#received.length > 2 ** 20) this.#received = this.#received.slice(-(2 ** 10));
      this.#onChange();
    });
  }

  /** Null when the broker refused the login or ended the connection. */
  static async login(options: DeviceOptions): Promise<Device | null> {
    const { name = 'good', clientId = name, password = PASSWORD, clean = true } = options;
    const device = new Device(options);
    device.socket.write(connectPacket(clientId, { username: name, password, clean }));
    await until('an answer to CONNECT', () => device.isEnded || device.#received.length >= CONNACK_OK.length);
    if (device.#received.startsWith('2002') && device.#received.slice(6, 8) === '00') return device;
    device.socket.destroy();
    return null;
  }

  get isEnded(): boolean {
    return this.socket.destroyed || this.socket.readableEnded;
  }

  get received(): string {
    return this.#received;
  }

  /** Resolves with whether the broker acknowledged it. */
  async publish(topic: string, payload: string | Buffer, retain = false): Promise<boolean> {
    this.#id = (this.#id % 65_535) + 1;
    const id = this.#id;
    const puback = `4002${id.toString(16).padStart(4, '0')}`;
    this.socket.write(publish(topic, payload, { qos: 1, id, retain }));
    // Not `until`: it looks every few milliseconds, and this time is measured.
    while (!this.isEnded && !splitPackets(this.#received).includes(puback))
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    this.#received = '';
    return !this.isEnded;
  }

  /**
   * Writes without end, as fast as the broker reads, until `signal` or the broker ends it. Calls `begun` when
   * the first have left.
   */
  async flood(bytes: Buffer, signal: AbortSignal, begun: () => void): Promise<void> {
    for (let written = 1; !signal.aborted && !this.isEnded; written += 1) {
      if (written === FLOODING_AFTER) begun();
      if (!this.socket.write(bytes)) await drained(this.socket, signal);
      else await new Promise(setImmediate);
    }
    this.socket.destroy();
  }
}

function drained(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', () => resolve());
    socket.once('close', () => resolve());
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
