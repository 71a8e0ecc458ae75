/**
 * Signed documents that go down to gateways, whatever carries them: receipts now. The form is a DSSE envelope
 * in JSON (https://github.com/secure-systems-lab/dsse, envelope.md), so that a carrier that writes JSON anew
 * changes no signed byte. docs/reference/documents.md specifies it.
 *
 * The payload is `form (1 byte), length of the name (1), the gateway's name, version (8, big-endian),
 * content`. Gateway and version stand before the content: a document for another gateway, or an old one, is
 * passed over without a verification, and nothing is unpacked before it.
 */
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { problemOf, wireList } from '../wire-json.ts';
import { compress, decompress, readFrameHead } from '../zstd.ts';
import { isSignatureOfSync, type Signer, signatureOf } from './signature.ts';

/** Signed with the payload: a document of one type never counts for another. */
const TYPES = {
  receipt: 'application/vnd.headgate.receipt',
  policy: 'application/vnd.headgate.policy',
} as const;

export type DocumentType = keyof typeof TYPES;

/** A document as it travels. Binary values are in base64. */
export interface SignedDocument {
  payloadType: string;
  payload: string;
  signatures: Array<{ keyid: string; sig: string }>;
}

export interface DocumentContent {
  gateway: string;
  /** Grows with each document of its type for the gateway. */
  version: number;
  content: Uint8Array;
}

/** A document whose signatures are not verified yet. */
export interface OpenedDocument {
  readonly gateway: string;
  readonly version: number;
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: ReadonlyArray<{ keyId: string; signature: Uint8Array }>;
  /** Where the content begins in the payload. */
  readonly contentAt: number;
}

/** Bounds (I10). Several keys may sign one document. */
const SIGNATURES_MAX = 8;
const PAYLOAD_BYTES_MAX = 96 * 1024;
const BASE64_MAX = Math.ceil(PAYLOAD_BYTES_MAX / 3) * 4;
const TYPE_CHARS_MAX = 100;
/** zstd's own window for content of unknown length is 2 MiB at level 3. */
const WINDOW_BYTES_MAX = 8 * 2 ** 20;

const PLAIN = 1;
const ZSTD = 2;
const ZSTD_LEVEL = 3;
/** Shorter content is not compressed: base64 and signature weigh more. */
const COMPRESSED_BYTES_MIN = 256;
const NAME_AT = 2;
const VERSION_BYTES = 8;
const NAME = /^[a-z0-9_][a-z0-9_-]{0,63}$/;

const documentSchema = z.object({
  payloadType: z.string().max(TYPE_CHARS_MAX),
  payload: z.string().max(BASE64_MAX),
  signatures: wireList(
    z.object({ keyid: z.string().regex(/^[0-9a-f]{16}$/), sig: z.string().length(88) }),
    SIGNATURES_MAX,
  )
    .refine((all) => all.length > 0, { message: 'expected a signature' })
    .refine((all) => new Set(all.map(({ keyid }) => keyid)).size === all.length, {
      message: 'expected each key once',
    }),
});

/** Throws RangeError for content that is too long, and for a name or version that no gateway would read. */
export function signDocument(
  signers: readonly Signer[],
  type: DocumentType,
  document: DocumentContent,
): SignedDocument {
  const payloadType = TYPES[type];
  const payload = packed(document);
  const signatures = signers.map((signer) => ({
    keyid: signer.keyId,
    sig: Buffer.from(signatureOf(signer, payloadType, payload)).toString('base64'),
  }));
  return { payloadType, payload: payload.toString('base64'), signatures };
}

/** Reads the form and the head of a document of this type, and nothing of its content. */
export function openDocument(
  json: unknown,
  type: DocumentType,
): { document: OpenedDocument } | { problem: string } {
  const parsed = documentSchema.safeParse(json);
  if (!parsed.success) return { problem: problemOf(parsed.error) };
  const { payloadType, signatures } = parsed.data;
  if (payloadType !== TYPES[type]) return { problem: `not of the type ${TYPES[type]}` };
  const payload = bytesOf(parsed.data.payload);
  const head = payload === null ? null : headOf(payload);
  if (payload === null || head === null) return { problem: 'the payload is damaged' };
  const read = signatures.map(({ keyid, sig }) => ({ keyId: keyid, signature: bytesOf(sig) ?? NONE }));
  return { document: { ...head, payloadType, payload, signatures: read } };
}

const NONE = new Uint8Array();

/** The verdict on a document's signatures, with the keys that a reader knows. */
export interface Verification {
  /** Ids of the known keys that signed. */
  signedBy: string[];
  /** Whether a known key should have signed and did not. */
  isForged: boolean;
}

/** At most one verification for each known key that the document names. */
export function verify(
  { payloadType, payload, signatures }: OpenedDocument,
  keyOf: (keyId: string) => KeyObject | null,
): Verification {
  const verification: Verification = { signedBy: [], isForged: false };
  for (const { keyId, signature } of signatures) {
    const key = keyOf(keyId);
    if (key === null) continue;
    if (isSignatureOfSync(key, payloadType, payload, signature)) verification.signedBy.push(keyId);
    else verification.isForged = true;
  }
  return verification;
}

/** The content, after {@link verify}; null where it is damaged or longer than `bytesMax`. */
export function contentOf({ payload, contentAt }: OpenedDocument, bytesMax: number): Uint8Array | null {
  const content = payload.subarray(contentAt);
  if (payload[0] === PLAIN) return content.byteLength <= bytesMax ? content : null;
  const frame = readFrameHead(content);
  if (frame === null || frame.windowBytes > WINDOW_BYTES_MAX) return null;
  try {
    return decompress(content, bytesMax);
  } catch {
    return null; // Damaged, or longer.
  }
}

function packed({ gateway, version, content }: DocumentContent): Buffer {
  if (!NAME.test(gateway) || !Number.isSafeInteger(version) || version < 1)
    throw new RangeError(`no gateway or no version of a document: ${gateway}, ${version}`);
  const isCompressed = content.byteLength >= COMPRESSED_BYTES_MIN;
  const head = Buffer.alloc(NAME_AT + gateway.length + VERSION_BYTES);
  head.writeUInt8(isCompressed ? ZSTD : PLAIN, 0);
  head.writeUInt8(gateway.length, 1);
  head.write(gateway, NAME_AT, 'ascii');
  head.writeBigUInt64BE(BigInt(version), NAME_AT + gateway.length);
  const payload = Buffer.concat([head, isCompressed ? compress(content, ZSTD_LEVEL) : content]);
  if (payload.length > PAYLOAD_BYTES_MAX) throw new RangeError(`${payload.length} bytes of a document`);
  return payload;
}

function headOf(payload: Buffer): Pick<OpenedDocument, 'gateway' | 'version' | 'contentAt'> | null {
  const [form = 0, nameBytes = 0] = payload;
  const contentAt = NAME_AT + nameBytes + VERSION_BYTES;
  if ((form !== PLAIN && form !== ZSTD) || payload.length < contentAt) return null;
  const gateway = payload.toString('latin1', NAME_AT, NAME_AT + nameBytes);
  const version = Number(payload.readBigUInt64BE(NAME_AT + nameBytes));
  if (!NAME.test(gateway) || !Number.isSafeInteger(version) || version < 1) return null;
  return { gateway, version, contentAt };
}

/** Null where the text is not the one base64 form of its bytes. */
function bytesOf(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}
