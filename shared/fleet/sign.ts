/** Signs fleet documents; and what verifies them: Ed25519 and SHA-256 of Node.js. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { z } from 'zod';
import { isSignatureOfSync, isSigningKey, keyIdOf, type Signer, signatureOf } from '../signing/signature.ts';
import { compress } from '../zstd.ts';
import type { assignmentSchema, orderSchema, policyBodySchema, rootSchema } from './core/documents.ts';
import type { DsseEnvelope, Verifier } from './core/envelope.ts';
import { PAYLOAD_TYPES } from './core/kinds.ts';
import { CONTENT_LIMITS } from './core/limits.ts';

/** A document as its author writes it: durations of a policy are texts, for example. */
export type FleetContent =
  | { kind: 'root'; content: z.input<typeof rootSchema> }
  | { kind: 'policy'; content: z.input<typeof policyBodySchema> }
  | { kind: 'assignment'; content: z.input<typeof assignmentSchema> }
  | { kind: 'order'; content: z.input<typeof orderSchema> };

export interface SignedFleetDocument {
  envelope: DsseEnvelope;
  /** SHA-256 of the content: the name of the document. */
  digest: string;
}

const ZSTD_LEVEL = 19;

/** Throws RangeError for content that no gateway would take for its size. */
export function signFleetDocument(
  signers: readonly Signer[],
  { kind, content }: FleetContent,
): SignedFleetDocument {
  const raw = Buffer.from(JSON.stringify(content));
  const payload = compress(raw, ZSTD_LEVEL);
  const { rawBytes, packedBytes } = CONTENT_LIMITS[kind];
  if (raw.length > rawBytes || payload.length > packedBytes)
    throw new RangeError(
      `the ${kind} has ${raw.length} bytes, ${payload.length} packed; at most ${rawBytes} and ${packedBytes}`,
    );
  const payloadType = PAYLOAD_TYPES[kind];
  const signatures = signers.map((signer) => ({
    keyid: signer.keyId,
    sig: Buffer.from(signatureOf(signer, payloadType, payload)).toString('base64'),
  }));
  const envelope = { payloadType, payload: payload.toString('base64'), signatures };
  return { envelope, digest: fleetVerifier.sha256(raw) };
}

/** The public half of a key as a root holds it: 32 bytes in base64. */
export function publicKeyOf({ key }: Signer): string {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url').toString('base64');
}

export const fleetVerifier: Verifier = {
  isSignature(publicKey, type, payload, signature) {
    const key = keyOf(publicKey);
    return key !== null && isSignatureOfSync(key, type, payload, signature);
  },
  keyIdOf(publicKey) {
    const key = keyOf(publicKey);
    return key === null ? null : keyIdOf(key);
  },
  sha256: (bytes) => createHash('sha256').update(bytes).digest('hex'),
};

const KEY_BYTES = 32;

function keyOf(text: string): KeyObject | null {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== KEY_BYTES || bytes.toString('base64') !== text) return null;
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') };
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return isSigningKey(key) ? key : null;
  } catch {
    return null; // Not a key for OpenSSL.
  }
}
