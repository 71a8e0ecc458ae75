/**
 * The content keys of sealed envelopes. Only what a registered key of a gateway signed is opened: others get
 * no work out of a private key. A gateway's content key serves for an hour of envelopes, and is unwrapped
 * once for them, in libuv's pool; decode threads get the content key, never a private one.
 */
import { openFrame } from '../../shared/envelope/frame.ts';
import type { WrappedKey } from '../../shared/envelope/seal.ts';
import { type KeyPair, unwrapContentKey } from '../../shared/sealing/content-key.ts';
import type { Refusal } from './refusal.ts';

/** Of one gateway, and gateways (I10): beyond, the one used longest ago is forgotten, and unwrapped again. */
const KEYS_PER_GATEWAY_MAX = 8;
const GATEWAYS_MAX = 10_000;

/** The router's private keys. */
export interface PrivateKeys {
  readonly isRead: boolean;
  pair(keyId: string): KeyPair | null;
}

/** `unknown`: the keys are not known yet. */
export type Unopened = { kind: 'refused'; refusal: Refusal } | { kind: 'unknown' };
export type Seal = Unopened | { kind: 'none' } | { kind: 'opened'; contentKey: Uint8Array };

export class Seals {
  readonly #keys: PrivateKeys;
  readonly #required: ReadonlySet<string>;
  readonly #gateways = new Map<string, Map<string, Promise<Uint8Array | null>>>();
  #unwrapped = 0;

  constructor({ keys, required = [] }: { keys: PrivateKeys; required?: readonly string[] }) {
    this.#keys = keys;
    this.#required = new Set(required);
  }

  /** Content keys unwrapped since the start. */
  get unwrapped(): number {
    return this.#unwrapped;
  }

  /** `bytes`: a readable frame. Never rejects. */
  async open(bytes: Uint8Array, isVerified: boolean): Promise<Seal> {
    const { outer } = openFrame(bytes);
    if (outer === null || outer.recipients === null) return { kind: 'none' };
    const { gateway, recipients } = outer;
    if (!isVerified)
      return refused('unknown-key', 'a sealed envelope is opened when a registered key signed it');
    for (const recipient of recipients) {
      const pair = this.#keys.pair(recipient.keyId);
      if (pair === null) continue;
      const contentKey = await this.#contentKey(gateway, recipient, pair);
      if (contentKey !== null) return { kind: 'opened', contentKey };
      return refused('seal', `the content key was not wrapped for ${recipient.keyId} and ${gateway}`);
    }
    if (!this.#keys.isRead) return { kind: 'unknown' };
    const ids = recipients.map(({ keyId }) => keyId).join(', ');
    return refused('seal-key', `sealed to ${ids}, of which this router has none`);
  }

  /** For an envelope in clear, of a stream that must be sealed. */
  unsealed(stream: string): Refusal | null {
    if (!this.#required.has(stream)) return null;
    return { reason: 'unsealed', detail: `stream ${stream} is taken only sealed: sealing.required_streams` };
  }

  #contentKey(gateway: string, recipient: WrappedKey, pair: KeyPair): Promise<Uint8Array | null> {
    const known = recent(this.#gateways, gateway, GATEWAYS_MAX, () => new Map());
    const { keyId, enc, wrapped } = recipient;
    const name = `${keyId} ${Buffer.concat([enc, wrapped]).toString('latin1')}`;
    return recent(known, name, KEYS_PER_GATEWAY_MAX, () => {
      this.#unwrapped += 1;
      return unwrapContentKey(recipient, { pair, gateway });
    });
  }
}

/** The entry, made where it is missing, as the one used last; the one used longest ago is forgotten. */
function recent<Value>(map: Map<string, Value>, name: string, most: number, make: () => Value): Value {
  const value = map.get(name) ?? make();
  map.delete(name);
  map.set(name, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) break;
    map.delete(oldest);
  }
  return value;
}

function refused(reason: Refusal['reason'], detail: string): Seal {
  return { kind: 'refused', refusal: { reason, detail } };
}
