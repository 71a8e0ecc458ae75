/**
 * IoT Hub's device registry, and the credentials that it requires in a CONNECT (Azure docs, "Communicate with
 * an IoT hub using MQTT").
 */
import { TLSSocket } from 'node:tls';
import type { Entropy } from '../../shared/entropy.ts';
import { decode, verifySas } from './sas.ts';

/** The hub's name, in user names and in the resource of tokens. */
export const HUB_HOST = 'headgate.azure-devices.net';

type Identity = { kind: 'key'; key: string } | { kind: 'certificate' };

/** `expiresMs`: when the hub ends the connection because the token expires; null for a certificate. */
export type Admission = { admitted: true; expiresMs: number | null } | { admitted: false; reason: string };

export interface Connect {
  clientId: string;
  username: string | undefined;
  password: Buffer | undefined;
  socket: unknown;
}

export class DeviceRegistry {
  readonly #identities = new Map<string, Identity>();
  readonly #entropy: Entropy;

  constructor(entropy: Entropy) {
    this.#entropy = entropy;
  }

  /** Registers a device with a key if it is new; returns its key (base64). */
  registerKey(device: string): string {
    const known = this.#identities.get(device);
    if (known?.kind === 'key') return known.key;
    const key = Buffer.from(this.#entropy.bytes(32)).toString('base64');
    this.#identities.set(device, { kind: 'key', key });
    return key;
  }

  /** Registers a device that logs in with a certificate of the CA with its id as common name. */
  registerCertificate(device: string): void {
    this.#identities.set(device, { kind: 'certificate' });
  }

  has(device: string): boolean {
    return this.#identities.has(device);
  }

  admit(connect: Connect, wallMs: number): Admission {
    const refused = (reason: string): Admission => ({ admitted: false, reason });
    const [host, device, query] = connect.username?.split('/') ?? [];
    if (host !== HUB_HOST || device !== connect.clientId) return refused('user name is not hub/device');
    if (!query?.startsWith('?api-version=')) return refused('user name without api-version');
    const identity = this.#identities.get(device);
    if (!identity) return refused('unknown device');
    if (identity.kind === 'certificate') {
      return commonName(connect.socket) === device
        ? { admitted: true, expiresMs: null }
        : refused('no certificate for this device');
    }
    const key = Buffer.from(identity.key, 'base64');
    const token = verifySas(connect.password?.toString() ?? '', key, wallMs);
    if (token?.resource !== `${HUB_HOST}/devices/${device}`) return refused('bad token');
    return { admitted: true, expiresMs: token.expirySeconds * 1000 };
  }
}

/** Common name of a client certificate that our CA issued; null without one. */
function commonName(socket: unknown): string | null {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return null;
  const name = socket.getPeerCertificate().subject?.CN;
  return typeof name === 'string' ? name : null;
}

/**
 * The property bag at the end of a topic, `key=value&…`, percent-encoded. Keys that start with `$.` are
 * system properties (message id, content type); the rest are the application's.
 */
export function parsePropertyBag(bag: string): Record<string, string> {
  return Object.fromEntries(
    bag
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const [key = '', value = ''] = pair.split('=');
        return [decode(key), decode(value)];
      }),
  );
}
