/**
 * Hostile sealed envelopes. Those without a key of the gateway's own are stopped by signature and names;
 * those with one, by the seal.
 */
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { type EnvelopeSigner, openFrame, writeSignedFrame } from '../../../shared/envelope/frame.ts';
import type { EnvelopeSealer, WrappedKey } from '../../../shared/envelope/seal.ts';
import { envelope } from '../../router/ledger/envelopes.ts';
import { Fields } from '../packets.ts';
import { bomb, withChecksum } from './hostile.ts';
import {
  DAMAGED,
  type FuzzKeys,
  type FuzzSeals,
  type Hostile,
  made,
  type Sealed,
  SIGNATURE_REASONS,
} from './kinds.ts';

/** The stream of a source that the router takes only sealed. */
export function privateStream(source: string): string {
  return `private-${source}`;
}

interface Making {
  source: string;
  isSigned: boolean;
  keys: FuzzKeys;
  seals: FuzzSeals;
}

/** As the gateway sends it: signed by its own key. */
export function sealed(one: Envelope, sealer: EnvelopeSealer, keys: FuzzKeys): Buffer {
  return Buffer.from(encodeEnvelope(one, keys.own, sealer));
}

/** Of a stream that comes sealed, too, with a payload that never stands in the ledger. */
function sketchOf(fields: Fields, { stream, gateway = 'gw-1' }: { stream: string; gateway?: string }) {
  return envelope({ gateway, stream, seqs: [1 + fields.below(1000)], text: 'never' });
}

export function sealedHostile(kind: Sealed, seed: number, making: Making): Hostile {
  const fields = new Fields(seededEntropy(seed));
  const { source, isSigned, keys, seals } = making;
  const stream = privateStream(source);
  const sketch = sketchOf(fields, { stream });
  const good = fields.pick(seals.good);
  switch (kind) {
    case 'seal-flipped':
      return made(kind, flipped(sealed(sketch, good, keys), fields), [...DAMAGED, ...SIGNATURE_REASONS]);
    case 'seal-truncated': {
      const bytes = sealed(sketch, good, keys);
      return made(kind, bytes.subarray(0, 1 + fields.below(bytes.length - 1)), DAMAGED);
    }
    case 'seal-downgraded': {
      const bytes = sealed(sketch, good, keys);
      bytes[2] = 2;
      return made(kind, withChecksum(bytes), ['signature']);
    }
    case 'seal-moved': {
      const { outer } = openFrame(sealed(sketch, good, keys));
      const copied = { keyId: keys.own.keyId, sign: () => outer?.signature ?? Buffer.alloc(64) };
      return made(kind, moved(sketch, good, keys, copied), ['signature']);
    }
    case 'seal-moved-signed':
      return made(kind, moved(sketch, good, keys, keys.own), ['seal']);
    case 'seal-stranger':
      return made(kind, encodeEnvelope(sketch, keys.stranger, good), ['unknown-key']);
    case 'seal-cross-gateway':
      return made(kind, encodeEnvelope(sketch, keys.other, good), ['unknown-key']);
    case 'seal-foreign': {
      const foreign = sketchOf(fields, { stream, gateway: 'gw-2' });
      return made(kind, encodeEnvelope(foreign, keys.other, seals.other), ['foreign-gateway']);
    }
    case 'seal-other-gateway':
      return made(kind, sealed(sketch, seals.other, keys), ['seal']);
    case 'seal-unknown-key':
      return made(kind, sealed(sketch, seals.unknown, keys), ['seal-key']);
    case 'seal-withdrawn-key':
      return withdrawn(sketchOf(fields, { stream: withdrawnStream(source) }), seals, keys);
    case 'seal-stripped':
      return made(kind, encodeEnvelope(sketch, keys.own), ['unsealed']);
    case 'seal-bare':
      return made(kind, encodeEnvelope(sketch), [isSigned ? 'unsigned' : 'unsealed']);
    default:
      return dishonest(kind, fields, { sketch, good, keys });
  }
}

/** Rightly signed by a gateway that does not seal as it should. */
function dishonest(
  kind: Sealed,
  fields: Fields,
  { sketch, good, keys }: { sketch: Envelope; good: EnvelopeSealer; keys: FuzzKeys },
): Hostile {
  const wrong = (part: Partial<EnvelopeSealer>): Buffer =>
    sealed(sketch, { recipients: good.recipients, seal: good.seal, ...part }, keys);
  const each = (change: (one: WrappedKey) => Partial<WrappedKey>): WrappedKey[] =>
    good.recipients.map((one) => ({ ...one, ...change(one) }));
  const inside = (plain: Uint8Array, isCompressed: boolean): Buffer => {
    const { range } = openFrame(sealed(sketch, good, keys)).outer ?? { range: null };
    return Buffer.from(writeSignedFrame(plain, isCompressed, { key: sketch, range }, keys.own, good));
  };
  switch (kind) {
    case 'seal-encapsulated-key':
      return made(kind, wrong({ recipients: each(({ enc }) => ({ enc: flipped(enc, fields) })) }), ['seal']);
    case 'seal-wrapped-key': {
      const recipients = each(({ wrapped }) => ({ wrapped: flipped(wrapped, fields) }));
      return made(kind, wrong({ recipients }), ['seal']);
    }
    case 'seal-content': {
      const seal: EnvelopeSealer['seal'] = (head, plain) => flipped(good.seal(head, plain), fields);
      return made(kind, wrong({ seal }), ['seal']);
    }
    case 'seal-names': {
      // The seal is right, and the body is another stream's.
      const { content, isCompressed } = openFrame(encodeEnvelope({ ...sketch, stream: 'another' }));
      return made(kind, inside(content, isCompressed), ['frame']);
    }
    case 'seal-bomb':
      return made(kind, inside(bomb(1_000_001 + fields.below(5_000_000)), true), ['limit']);
    case 'seal-noise':
      return made(kind, inside(fields.bytes(1 + fields.below(400)), false), ['cbor', 'schema', 'limit']);
    default: {
      // A head that differs in the range from the one that is signed.
      const seal: EnvelopeSealer['seal'] = (head, plain) => good.seal(flippedAt(head, 20), plain);
      return made('seal-head', wrong({ seal }), ['seal']);
    }
  }
}

export function withdrawnStream(source: string): string {
  return `withdrawn-${source}`;
}

/** An envelope that was sealed to a key that the router has removed. It is genuine. */
export function withdrawn(genuine: Envelope, seals: FuzzSeals, keys: FuzzKeys): Hostile {
  const records = genuine.records.map((one) => ({ ...one, payload: Buffer.from(String(one.seq)) }));
  const one = { ...genuine, records };
  const bytes = sealed(one, seals.withdrawn, keys);
  return { ...made('seal-withdrawn-key', bytes, ['seal-key']), genuine: one };
}

/** The recipients and the content of an envelope in the frame of another stream. */
function moved(sketch: Envelope, sealer: EnvelopeSealer, keys: FuzzKeys, signer: EnvelopeSigner): Buffer {
  const { content } = openFrame(sealed(sketch, sealer, keys));
  const seal = (): Uint8Array => content;
  return Buffer.from(
    encodeEnvelope({ ...sketch, stream: 'never' }, signer, { recipients: sealer.recipients, seal }),
  );
}

function flipped(bytes: Uint8Array, fields: Fields): Buffer {
  return flippedAt(bytes, fields.below(bytes.length), 1 << fields.below(8));
}

function flippedAt(bytes: Uint8Array, at: number, bit = 1): Buffer {
  const other = Buffer.from(bytes);
  other[at] = (other[at] ?? 0) ^ bit;
  return other;
}
