/**
 * Envelopes made by hand from docs/reference/envelope.md alone, with another CBOR library than the product's
 * reader and writer: a fault that both of those share hides no attack.
 */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { encode } from 'cborg';

export interface Made {
  gateway?: string;
  epoch?: string;
  stream?: string;
  /** `[bootId, offsetMs, quality]`. */
  clock?: readonly [string, number, number];
  /** Sequence numbers, ascending; each record holds its number as text, or `text`. */
  seqs?: readonly number[];
  text?: string;
  topic?: string;
  device?: string;
  /** `[first, last, reason]`. */
  gaps?: ReadonlyArray<readonly [number, number, number]>;
  sealedAt?: number | null;
}

const SYNCHRONISED = 1;
const KEY_ID_BYTES = 8;

type Ids = Required<Pick<Made, 'gateway' | 'epoch' | 'stream'>> & { first: number; last: number };

/** Gateway, epoch, stream and range, as the frame of version 2 repeats them. */
export function idsOf({ gateway = 'gw-1', epoch = '1-aa', stream = 'telemetry', ...made }: Made): Ids {
  const all = [...(made.seqs ?? []), ...(made.gaps ?? []).flat()];
  const [first, last] = all.length === 0 ? [0, 0] : [Math.min(...all), Math.max(...all)];
  return { gateway, epoch, stream, first, last };
}

/** The CBOR of a body. */
export function bodyOf(made: Made): Buffer {
  const { gateway, epoch, stream } = idsOf(made);
  const { seqs = [], text, topic = 'plant/pump/bar', device = 'pump', gaps = [], sealedAt = null } = made;
  const records = seqs.map((seq, i) => {
    const step = seq - (seqs[i - 1] ?? 0);
    return [step, i === 0 ? seq * 10 : 10, 0, 0, Buffer.from(text ?? String(seq))];
  });
  const words = (word: string): string[] => (seqs.length > 0 ? [word] : []);
  const clock = made.clock ?? ['boot-1', 1_700_000_000_000, SYNCHRONISED];
  const fields = [words(device), words(topic), records, gaps, sealedAt];
  return Buffer.from(encode([gateway, epoch, stream, clock, 0, ...fields]));
}

/** A frame of version 1: no signature. */
export function plain(content: Uint8Array, flags = 0): Buffer {
  const bytes = Buffer.concat([Buffer.from([0x48, 0x47, 1, flags, 0, 0, 0, 0]), content]);
  return withChecksum(bytes);
}

/** A frame of version 2 with the ids of `made` around any content, signed by `key`. */
export function signed(made: Made, key: KeyObject, content: Uint8Array = bodyOf(made), flags = 0): Buffer {
  return withSignature(startOf(made, key, flags), content, key);
}

/** Frame, range and signature of a genuine envelope, with the checksum of another content. */
export function grafted(genuine: Made, key: KeyObject, content: Uint8Array): Buffer {
  const whole = signed(genuine, key);
  const start = startOf(genuine, key, 0);
  return Buffer.concat([withChecksum(Buffer.concat([start, content])), whole.subarray(-64)]);
}

/** The same envelope with the version byte of an unsigned one, its checksum made right again. */
export function downgraded(made: Made, key: KeyObject): Buffer {
  const bytes = signed(made, key);
  bytes[2] = 1;
  return withChecksum(bytes);
}

function startOf(made: Made, key: KeyObject, flags: number): Buffer {
  const { first, last, ...names } = idsOf(made);
  const range = Buffer.alloc(16);
  range.writeBigUInt64BE(BigInt(first));
  range.writeBigUInt64BE(BigInt(last), 8);
  const texts = [names.gateway, names.epoch, names.stream].flatMap((name) => [
    Buffer.of(name.length),
    Buffer.from(name),
  ]);
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha256').update(der).digest().subarray(0, KEY_ID_BYTES);
  return Buffer.concat([Buffer.from([0x48, 0x47, 2, flags, 0, 0, 0, 0]), keyId, range, ...texts]);
}

function withSignature(start: Buffer, content: Uint8Array, key: KeyObject): Buffer {
  const unsigned = withChecksum(Buffer.concat([start, content]));
  const digest = createHash('sha256').update(content).digest();
  const payload = Buffer.concat([unsigned.subarray(0, start.length), digest]);
  const type = 'application/vnd.headgate.envelope';
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  return Buffer.concat([unsigned, sign(null, message, key)]);
}

function withChecksum(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32(bytes.subarray(8), crc32(bytes.subarray(0, 4))), 4);
  return bytes;
}
