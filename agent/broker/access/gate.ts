/**
 * Authenticates connections and derives their permissions. A client that sends a certificate or a username is
 * that device or is refused. A client without both is anonymous, where that is allowed. A device's client id
 * is its name, or begins with its name and a slash; no name holds a slash. So only the device can take over
 * its connection or session, and the `device` of a record is its sender. Anonymous clients with the id of a
 * device get another one.
 */
import type { Client, ConnectPacket } from 'aedes';
import type { Clock } from '../../../shared/clock.ts';
import type { Entropy } from '../../../shared/entropy.ts';
import type { Logger } from '../../../shared/log.ts';
import type { RefusalReason } from '../refusals.ts';
import { Acl } from './acl.ts';
import { ANONYMOUS_PREFIX } from './anonymous-prefix.ts';
import type { CertificateName } from './certificate-name.ts';
import type { Devices } from './devices.ts';
import { type Login, Logins } from './logins.ts';

/**
 * How a listener authenticates devices: by password, by client certificate, by either, or by both of the same
 * device.
 */
export type ListenerAuth = 'password' | 'certificate' | 'either' | 'both';

/** The facts of a connection that are known before its CONNECT. */
export interface Arrival {
  /** Address of the remote end. */
  address: string;
  auth: ListenerAuth;
  /** The device that the verified client certificate names; null without one. */
  certificate: CertificateName | null;
  /** Whether this listener accepts clients without credentials. */
  anonymous: boolean;
}

/** The fields of a CONNECT that authentication reads. */
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
  /** Detail for the log, without secrets. */
  problem?: string;
}

interface Session {
  clientId: string;
  /** Null for an anonymous client. */
  device: { name: string; hash: string | undefined; created: string; by: 'password' | 'certificate' } | null;
  acl: Acl | null;
  /** Topics that `acl` is known to allow the client to publish to. */
  publishes: Set<string>;
  /** `Devices.revision` at the time `acl` was made. */
  revision: number;
}

type From = Required<Pick<Login, 'address' | 'isGone'>>;

type Identified = { ok: true; device: Session['device'] } | ({ ok: false } & Refused);

/** The client id after `<name>/`: no wildcard and no further topic level. */
const CLIENT_ID_SUFFIX = /^[A-Za-z0-9._:-]{1,64}$/;

/** MQTT 3.1, "Client Identifier": 1 to 23 characters. */
const MQTT_3_1_ID_CHARS_MAX = 23;
/** The owner of an anonymous client's session. No device's: those have a space. */
const ANONYMOUS = 'anonymous';

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
  /** Kept as long as aedes keeps the client: its will is published after the connection has ended. */
  readonly #sessions = new WeakMap<Client, Session>();
  readonly #connected = new Set<Client>();

  constructor({ devices, clock, entropy, log }: GateOptions) {
    this.#devices = devices;
    this.#log = log;
    this.#logins = new Logins(clock, entropy);
    devices.onChange(() => this.#endUnknown());
  }

  /** Null when the client may connect; a session then exists here until {@link forget}. */
  async admit(client: Client, asked: Asked, arrival: Arrival): Promise<Refused | null> {
    const isGone = (): boolean => client.closed || client.conn.destroyed;
    const identified = await this.#identify(asked, arrival, isGone);
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

  /** Called when the connection has ended. */
  forget(client: Client): void {
    this.#connected.delete(client);
  }

  /** Null for an anonymous client. */
  deviceOf(client: Client): string | null {
    return this.#sessions.get(client)?.device?.name ?? null;
  }

  /**
   * Whose the client's session is. A device that was removed and added again under the same name is another
   * owner.
   */
  ownerOf(client: Client): string {
    const device = this.#sessions.get(client)?.device;
    return device ? ownerName(device.name, device) : ANONYMOUS;
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

  /**
   * Whether an absent client could connect and publish to the topic. `owner`: see {@link ownerOf}; where it
   * is not known (a will from before 0.2.0), the client id alone decides.
   */
  mightPublish(
    clientId: string,
    { topic, owner, isAnonymousAllowed }: { topic: string; owner?: string; isAnonymousAllowed: boolean },
  ): boolean {
    const [name = ''] = clientId.split('/');
    const device = this.#devices.get(name);
    if (owner !== undefined && owner !== (device ? ownerName(name, device) : ANONYMOUS)) return false;
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

  async #identify(asked: Asked, arrival: Arrival, isGone: () => boolean): Promise<Identified> {
    const { auth, certificate, address } = arrival;
    const from = { address, isGone };
    if (auth !== 'password' && certificate !== null) {
      const shown = this.#byCertificate(certificate, asked);
      if (!shown.ok || auth !== 'both') return shown;
      if (asked.username === undefined)
        return refuse('anonymous', 'notAuthorized', 'no username beside the certificate');
      return this.#byPassword(asked.username, asked, from);
    }
    if (auth === 'certificate' || auth === 'both') return refuse('certificate', 'notAuthorized');
    if (asked.username !== undefined) return this.#byPassword(asked.username, asked, from);
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
    return { ok: true, device: { name, hash: device.password, created: device.created, by: 'certificate' } };
  }

  async #byPassword(name: string, { clientId, password }: Asked, from: From): Promise<Identified> {
    // Before the password: this check compares data that the client sent, and reveals nothing about known
    // devices.
    if (!isClientIdOf(name, clientId)) return refuse('client-id', 'identifierRejected');
    const hash = this.#devices.get(name)?.password ?? null;
    const result = await this.#logins.check({ name, hash, password: password ?? Buffer.alloc(0), ...from });
    switch (result) {
      case 'wrong':
        return refuse('bad-credentials', 'badCredentials');
      case 'limited':
        return refuse('login-limit', 'notAuthorized');
      case 'busy':
        return refuse('login-busy', 'serverUnavailable');
      case 'ok': {
        // The current entry: the file may have changed while scrypt ran.
        const device = this.#devices.get(name);
        if (!device || device.password !== hash) return refuse('bad-credentials', 'badCredentials');
        if (device.disabled) return refuse('disabled', 'notAuthorized');
        return { ok: true, device: { name, hash, created: device.created, by: 'password' } };
      }
    }
  }

  #isOfDevice(clientId: string): boolean {
    const [name = ''] = clientId.split('/');
    return this.#devices.get(name) !== undefined;
  }

  /**
   * The client id under which the broker takes a client. [MQTT-3.1.3-6]: an empty id is the broker's to give;
   * it becomes `<name>/<random>` of the device that the client says it is, so that records tell their sender,
   * and stays empty, for one of aedes' own, where the client is anonymous. An anonymous client with the id of
   * a device is taken as `~/<id>`: a refusal would tell the names of the devices to everybody. No name begins
   * with a tilde. An id that begins so itself is taken as `~/<id>` too: two ids that are one would end each
   * other's connection where the first is a device's.
   */
  clientIdFor({ username, clientId }: ConnectPacket, arrival: Arrival, entropy: Entropy): string {
    const { certificate, anonymous } = arrival;
    const shown = certificate !== null && 'name' in certificate ? certificate.name : undefined;
    const name = username ?? shown;
    if (clientId === '')
      return name === undefined ? '' : `${name}/${Buffer.from(entropy.bytes(8)).toString('hex')}`;
    const isAnonymous = anonymous && username === undefined && certificate === null;
    const isMoved = this.#isOfDevice(clientId) || clientId.startsWith(ANONYMOUS_PREFIX);
    return isAnonymous && isMoved ? `${ANONYMOUS_PREFIX}${clientId}` : clientId;
  }

  /**
   * Ends the connections of devices that were removed, disabled or got a new password, and of anonymous
   * clients whose id is now a device's.
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
    if (!known || known.disabled || known.created !== device.created) return false;
    return device.by === 'certificate' || known.password === device.hash;
  }
}

function refuse(reason: RefusalReason, code: keyof typeof RETURN_CODE, problem?: string): Identified {
  return { ok: false, reason, returnCode: RETURN_CODE[code], ...(problem === undefined ? {} : { problem }) };
}

function ownerName(name: string, { created }: { created: string }): string {
  return `${name} ${created}`;
}

function isClientIdOf(name: string, clientId: string): boolean {
  return (
    clientId === name ||
    (clientId.startsWith(`${name}/`) && CLIENT_ID_SUFFIX.test(clientId.slice(name.length + 1)))
  );
}

/** [MQTT-3.1.3-8], and the longest id of MQTT 3.1. Of the id as it came: see {@link Gate.clientIdFor}. */
export function isIdRefused({ clientId, clean, protocolVersion }: ConnectPacket): boolean {
  if (protocolVersion === 3 && clientId.length > MQTT_3_1_ID_CHARS_MAX) return true;
  return clientId === '' && clean !== true;
}
