/**
 * From an envelope to its document. The order is the defence: length, form, type, signatures, and only then
 * anything of the content, unpacked with a bound. A stranger's bytes cost at most a few verifications.
 */
import { decompress, readFrameHead } from '../../zstd.ts';
import {
  assignmentSchema,
  type FleetDocument,
  orderSchema,
  policyBodySchema,
  type Root,
  rootSchema,
} from './documents.ts';
import {
  countSignatures,
  malformed,
  type OpenedEnvelope,
  openEnvelope,
  type RoleKeys,
  tooFew,
  type Verifier,
} from './envelope.ts';
import { type DocumentKind, kindOf, type Role, SIGNED_BY } from './kinds.ts';
import { CONTENT_LIMITS, WINDOW_BYTES_MAX } from './limits.ts';
import type { Refusal } from './refusal.ts';

/** An envelope that is one of ours by its type. */
export interface KnownEnvelope {
  readonly kind: DocumentKind;
  readonly envelope: OpenedEnvelope;
}

export type Opened = KnownEnvelope | { refusal: Refusal };
export type Read = { document: FleetDocument; signedBy: readonly string[] } | { refusal: Refusal };

/** Reads form, type and length; verifies nothing and unpacks nothing. */
export function openDocument(text: Uint8Array | string): Opened {
  const opened = openEnvelope(text);
  if ('refusal' in opened) return opened;
  const { envelope } = opened;
  const kind = kindOf(envelope.payloadType);
  if (kind === null)
    return { refusal: { reason: 'unknown-type', payloadType: envelope.payloadType.slice(0, 100) } };
  const bytesMax = CONTENT_LIMITS[kind].packedBytes;
  if (envelope.payload.length > bytesMax)
    return { refusal: { reason: 'too-large', part: 'packed', bytesMax } };
  return { kind, envelope };
}

/** The keys of a role in a root. */
export function roleKeys({ keys, roles }: Root, role: Role): RoleKeys {
  const named = roles[role].keys.map((id): [string, string] => [id, keys[id] ?? '']);
  return { role, keys: new Map(named), threshold: roles[role].threshold };
}

/** The document, when the keys that the root gives its role signed it. */
export function readDocument({ kind, envelope }: KnownEnvelope, root: Root, verifier: Verifier): Read {
  const count = countSignatures(envelope, roleKeys(root, SIGNED_BY[kind]), verifier);
  const refusal = tooFew(count);
  if (refusal !== null) return { refusal };
  const content = contentOf(kind, envelope, verifier);
  return 'refusal' in content ? content : { document: content.document, signedBy: count.signedBy };
}

/** The document inside, whoever signed it. Callers verify first, or what they read names the keys. */
export function contentOf(
  kind: DocumentKind,
  { payload }: OpenedEnvelope,
  verifier: Verifier,
): { document: FleetDocument } | { refusal: Refusal } {
  const unpacked = unpack(payload, CONTENT_LIMITS[kind].rawBytes);
  if ('refusal' in unpacked) return unpacked;
  const json = jsonOf(unpacked.bytes);
  if (json === undefined) return { refusal: notOfForm('content', 'expected JSON in UTF-8') };
  return parsed(kind, json, verifier.sha256(unpacked.bytes), verifier);
}

function unpack(frame: Uint8Array, bytesMax: number): { bytes: Uint8Array } | { refusal: Refusal } {
  const head = readFrameHead(frame);
  if (head === null || head.windowBytes > WINDOW_BYTES_MAX)
    return { refusal: notOfForm('payload', 'expected one zstd frame with a window of at most 8 MiB') };
  const tooLarge: Refusal = { reason: 'too-large', part: 'content', bytesMax };
  if (head.contentBytes !== null && head.contentBytes > bytesMax) return { refusal: tooLarge };
  try {
    return { bytes: decompress(frame, bytesMax) };
  } catch (error) {
    const isLonger = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
    return { refusal: isLonger ? tooLarge : notOfForm('payload', 'expected a whole zstd frame') };
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined; // Not UTF-8, or no JSON.
  }
}

function parsed(
  kind: DocumentKind,
  json: unknown,
  digest: string,
  verifier: Verifier,
): { document: FleetDocument } | { refusal: Refusal } {
  switch (kind) {
    case 'root': {
      const { data: root, error } = rootSchema.safeParse(json);
      if (error) return { refusal: malformed(error) };
      const wrong = Object.keys(root.keys).find((id) => verifier.keyIdOf(root.keys[id] ?? '') !== id);
      if (wrong !== undefined) return { refusal: notOfForm(`keys.${wrong}`, 'not the key of this id') };
      return { document: { kind, digest, root } };
    }
    case 'policy': {
      const { data: body, error } = policyBodySchema.safeParse(json);
      return error ? { refusal: malformed(error) } : { document: { kind, digest, body } };
    }
    case 'assignment': {
      const { data: assignment, error } = assignmentSchema.safeParse(json);
      return error ? { refusal: malformed(error) } : { document: { kind, digest, assignment } };
    }
    case 'order': {
      const { data: order, error } = orderSchema.safeParse(json);
      return error ? { refusal: malformed(error) } : { document: { kind, digest, order } };
    }
  }
}

function notOfForm(field: string, problem: string): Refusal {
  return { reason: 'malformed', field, problem };
}
