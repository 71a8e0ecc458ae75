/**
 * Who a connection is, and what follows from it. A client that shows a certificate or names a user is that
 * device or nobody; one that does neither is anonymous, where that is allowed. A device's client id is its
 * name, or begins with its name and a slash, which no name holds: so nobody but the device can take over its
 * connection or its session, and the `device` of a record says who sent it. Anonymous clients may not use
 * such an id.
 */
import type { Client, ConnectPacket } from 'aedes';
import type { Clock } from '../../../shared/clock.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import type { Logger } from '../../../shared/log.ts';
import type { RefusalReason } from '../refusals.ts';
import { Acl } from './acl.ts';
import type { CertificateName } from './certificate-name.ts';
import type { Devices } from './devices.ts';
import { Logins } from './logins.ts';

/**
 * How a listener tells devices: by password, by a client certificate, by either, or by both of the same
 * device.
 */
export type ListenerAuth = 'password' | 'certificate' | 'either' | 'both';

/** What is known of a connection before its CONNECT. */
export interface Arrival {
  /** Of the other end. */
  address: string;
  auth: ListenerAuth;
  /** Who its client certificate, verified, names; null without one. */
  certificate: CertificateName | null;
  /** Whether clients without credentials are taken here. */
  anonymous: boolean;
}

/** What of a CONNECT matters here. */
export interface Asked {
  clientId: string;
  username: string | undefined;
  password: Uint8Array | undefined;
  willTopic: string | undefined;
}

/** CONNACK return codes, MQTT 3.1.1 section 3.2.2.3. */
export const RETURN_CODE = {
  identifierRejected: 2,
  serverUnavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const;

export interface Refused {
  reason: RefusalReason;
  returnCode: (typeof RETURN_CODE)[keyof typeof RETURN_CODE];
  /** More, for the log; without secrets. */
  problem?: string;
}

interface Session {
  clientId: string;
  /** Null for an anonymous client. */
  device: { name: string; hash: string | undefined; by: 'password' | 'certificate' } | null;
  acl: Acl | null;
  /** Topics that `acl` lets it publish to. */
  publishes: Set<string>;
  /** Of the devices when `acl` was made. */
  revision: number;
}

type Identified = { ok: true; device: Session['device'] } | ({ ok: false } & Refused);

/** After `<name>/`: nothing that is a wildcard or a level of its own. */
const CLIENT_ID_SUFFIX = /^[A-Za-z0-9._:-]{1,64}$/;

/** Topics of one client whose permission is remembered (I10). */
const PUBLISHES_KNOWN_MAX = 64;

export interface GateOptions {
  devices: Devices;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class Gate {
  readonly #devices: Devices;
  readonly #log: Logger;
  readonly #logins: Logins;
  /** Kept as long as aedes keeps the client: its will comes after its connection is gone. */
  readonly #sessions = new WeakMap<Client, Session>();
  readonly #connected = new Set<Client>();

  constructor({ devices, clock, entropy, log }: GateOptions) {
    this.#devices = devices;
    this.#log = log;
    this.#logins = new Logins(clock, entropy);
    devices.onChange(() => this.#endUnknown());
  }

  /** Null when the client may connect; it then has a session here until {@link forget}. */
  async admit(client: Client, asked: Asked, arrival: Arrival): Promise<Refused | null> {
    const identified = await this.#identify(asked, arrival);
    if (!identified.ok) return identified;
    const session: Session = {
      clientId: asked.clientId,
      device: identified.device,
      acl: null,
      publishes: new Set(),
      revision: 0,
    };
    this.#sessions.set(client, session);
    if (asked.willTopic !== undefined && !this.mayPublish(client, asked.willTopic)) {
      this.#sessions.delete(client);
      return { reason: 'will-not-allowed', returnCode: RETURN_CODE.notAuthorized };
    }
    if (!client.closed) this.#connected.add(client);
    return null;
  }

  /** Its connection is over. */
  forget(client: Client): void {
    this.#connected.delete(client);
  }

  mayPublish(client: Client, topic: string): boolean {
    const session = this.#sessions.get(client);
    if (session?.revision === this.#devices.revision && session.publishes.has(topic)) return true;
    if (!this.#allows(client, (acl) => acl.mayPublish(topic))) return false;
    if (session && session.publishes.size < PUBLISHES_KNOWN_MAX) session.publishes.add(topic);
    return true;
  }

  maySubscribe(client: Client, filter: string): boolean {
    return this.#allows(client, (acl) => acl.maySubscribe(filter));
  }

  mayReceive(client: Client, topic: string): boolean {
    return this.#allows(client, (acl) => acl.mayReceive(topic));
  }

  /** Whether a client that is not here could come and publish there; its id alone tells who it is. */
  mightPublish(clientId: string, topic: string, isAnonymousAllowed: boolean): boolean {
    const [name = ''] = clientId.split('/');
    const device = this.#devices.get(name);
    if (!device) return isAnonymousAllowed;
    if (device.disabled || !isClientIdOf(name, clientId)) return false;
    return new Acl(this.#devices.rulesOf(name), { username: name, clientId }).mayPublish(topic);
  }

  #allows(client: Client, ask: (acl: Acl) => boolean): boolean {
    const session = this.#sessions.get(client);
    if (!session) return false;
    const { device, clientId } = session;
    if (!device) return true;
    if (!this.#devices.get(device.name)) return false;
    if (!session.acl || session.revision !== this.#devices.revision) {
      session.acl = new Acl(this.#devices.rulesOf(device.name), { username: device.name, clientId });
      session.revision = this.#devices.revision;
      session.publishes.clear();
    }
    return ask(session.acl);
  }

  async #identify(asked: Asked, arrival: Arrival): Promise<Identified> {
    const { auth, certificate } = arrival;
    if (auth !== 'password' && certificate !== null) {
      const shown = this.#byCertificate(certificate, asked);
      if (!shown.ok || auth !== 'both') return shown;
      if (asked.username === undefined)
        return refuse('anonymous', 'notAuthorized', 'no username beside the certificate');
      return this.#byPassword(asked.username, asked, arrival.address);
    }
    if (auth === 'certificate' || auth === 'both') return refuse('certificate', 'notAuthorized');
    if (asked.username !== undefined) return this.#byPassword(asked.username, asked, arrival.address);
    if (!arrival.anonymous) return refuse('anonymous', 'notAuthorized');
    if (this.#isOfDevice(asked.clientId)) return refuse('client-id', 'identifierRejected');
    return { ok: true, device: null };
  }

  #byCertificate(certificate: CertificateName, { clientId, username }: Asked): Identified {
    if ('problem' in certificate) return refuse('certificate', 'notAuthorized', certificate.problem);
    const { name } = certificate;
    const device = this.#devices.get(name);
    if (!device) return refuse('certificate', 'notAuthorized', `there is no device ${name}`);
    if (username !== undefined && username !== name)
      return refuse('identity-mismatch', 'notAuthorized', `the certificate is that of ${name}`);
    if (!isClientIdOf(name, clientId)) return refuse('client-id', 'identifierRejected');
    if (device.disabled) return refuse('disabled', 'notAuthorized');
    return { ok: true, device: { name, hash: device.password, by: 'certificate' } };
  }

  async #byPassword(name: string, { clientId, password }: Asked, address: string): Promise<Identified> {
    // Before the password: it compares what the client itself sent, and tells nothing about who exists.
    if (!isClientIdOf(name, clientId)) return refuse('client-id', 'identifierRejected');
    const hash = this.#devices.get(name)?.password ?? null;
    const result = await this.#logins.check({ name, hash, password: password ?? Buffer.alloc(0), address });
    switch (result) {
      case 'wrong':
        return refuse('bad-credentials', 'badCredentials');
      case 'limited':
        return refuse('login-limit', 'notAuthorized');
      case 'busy':
        return refuse('login-busy', 'serverUnavailable');
      case 'ok': {
        // As it is now: the file may have changed while scrypt ran.
        const device = this.#devices.get(name);
        if (!device || device.password !== hash) return refuse('bad-credentials', 'badCredentials');
        if (device.disabled) return refuse('disabled', 'notAuthorized');
        return { ok: true, device: { name, hash, by: 'password' } };
      }
    }
  }

  #isOfDevice(clientId: string): boolean {
    const [name = ''] = clientId.split('/');
    return this.#devices.get(name) !== undefined;
  }

  /**
   * Ends the connections of devices that were removed or disabled or got a new password, and anonymous ones
   * in a device's place.
   */
  #endUnknown(): void {
    for (const client of this.#connected) {
      const session = this.#sessions.get(client);
      if (!session || this.#isStillKnown(session)) continue;
      this.#log.info({ event: 'broker.session_ended', device: session.clientId, reason: 'devices changed' });
      this.#connected.delete(client);
      client.conn.destroy();
    }
  }

  #isStillKnown({ clientId, device }: Session): boolean {
    if (!device) return !this.#isOfDevice(clientId);
    const known = this.#devices.get(device.name);
    if (!known || known.disabled) return false;
    return device.by === 'certificate' || known.password === device.hash;
  }
}

function refuse(reason: RefusalReason, code: keyof typeof RETURN_CODE, problem?: string): Identified {
  return { ok: false, reason, returnCode: RETURN_CODE[code], ...(problem === undefined ? {} : { problem }) };
}

function isClientIdOf(name: string, clientId: string): boolean {
  return (
    clientId === name ||
    (clientId.startsWith(`${name}/`) && CLIENT_ID_SUFFIX.test(clientId.slice(name.length + 1)))
  );
}

/** [MQTT-3.1.3-8] */
export function isIdRefused({ clientId, clean }: ConnectPacket): boolean {
  return clientId === '' && clean !== true;
}
