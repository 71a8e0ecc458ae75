/**
 * DSSE envelopes (https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md): the form, and who
 * signed. The signed bytes are exact, so that a carrier may write the JSON anew.
 *
 * A key id is a hint of the envelope's writer and proves nothing: it only says which key to try. A signature
 * without one is tried against every key of the role. Each key counts once, whatever it signed how often.
 */
import { z } from 'zod';
import { pathText } from '../../config/problem.ts';
import { wireJson, wireList } from '../../wire-json.ts';
import type { Role } from './kinds.ts';
import { ENVELOPE_CHARS_MAX, SIGNATURES_MAX, VERIFICATIONS_MAX } from './limits.ts';
import type { Refusal, SignatureCount } from './refusal.ts';

/** An envelope as it travels. Binary values are in base64. */
export interface DsseEnvelope {
  payloadType: string;
  payload: string;
  signatures: Array<{ keyid?: string; sig: string }>;
}

/** An envelope whose signatures are not verified yet. */
export interface OpenedEnvelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: ReadonlyArray<{ readonly keyId: string | null; readonly signature: Uint8Array }>;
}

/** The cryptography of the documents, by argument (I11). Neither function throws. */
export interface Verifier {
  /** Whether the Ed25519 key (its 32 bytes in base64) signed PAE(type, payload) so. */
  isSignature(publicKey: string, type: string, payload: Uint8Array, signature: Uint8Array): boolean;
  /** The id of an Ed25519 key, as `headgate keys show` prints it; null where the text is no such key. */
  keyIdOf(publicKey: string): string | null;
  /** SHA-256 in lower-case hex. */
  sha256(bytes: Uint8Array): string;
}

/** Keys by id, and how many must sign. */
export interface RoleKeys {
  readonly role: Role;
  readonly keys: ReadonlyMap<string, string>;
  readonly threshold: number;
}

const SIGNATURE_BYTES = 64;
const TYPE_CHARS_MAX = 100;
const KEY_ID_CHARS_MAX = 128;

const envelopeSchema = z.object({
  payloadType: z.string().max(TYPE_CHARS_MAX).default(''),
  payload: z.string().default(''),
  signatures: wireList(
    z.object({
      keyid: z.string().max(KEY_ID_CHARS_MAX).default(''),
      // 64 bytes in base64, with and without padding.
      sig: z.string().min(86).max(88),
    }),
    SIGNATURES_MAX,
  ),
});

/** Reads the form of an envelope; verifies nothing and unpacks nothing. */
export function openEnvelope(text: Uint8Array | string): { envelope: OpenedEnvelope } | { refusal: Refusal } {
  if (text.length > ENVELOPE_CHARS_MAX)
    return { refusal: { reason: 'too-large', part: 'envelope', bytesMax: ENVELOPE_CHARS_MAX } };
  const json = wireJson(text, ENVELOPE_CHARS_MAX);
  if (json === undefined)
    return { refusal: { reason: 'malformed', field: '', problem: 'expected a DSSE envelope in JSON' } };
  const parsed = envelopeSchema.safeParse(json);
  if (!parsed.success) return { refusal: malformed(parsed.error) };
  const { payloadType, payload, signatures } = parsed.data;
  const bytes = bytesOf(payload);
  if (bytes === null) return { refusal: { reason: 'malformed', field: 'payload', problem: NOT_BASE64 } };
  const opened: Array<OpenedEnvelope['signatures'][number]> = [];
  for (const [index, { keyid, sig }] of signatures.entries()) {
    const signature = bytesOf(sig);
    if (signature?.length !== SIGNATURE_BYTES)
      return { refusal: { reason: 'malformed', field: `signatures[${index}].sig`, problem: NOT_BASE64 } };
    opened.push({ keyId: keyid === '' ? null : keyid, signature });
  }
  return { envelope: { payloadType, payload: bytes, signatures: opened } };
}

const NOT_BASE64 = 'expected base64';

/** Which keys of a role signed, by at most {@link VERIFICATIONS_MAX} verifications. */
export function countSignatures(
  { payloadType, payload, signatures }: OpenedEnvelope,
  { role, keys, threshold }: RoleKeys,
  verifier: Verifier,
): SignatureCount {
  const signedBy = new Set<string>();
  const wrong = new Set<string>();
  let unknown = 0;
  let left = VERIFICATIONS_MAX;
  for (const { keyId, signature } of signatures) {
    const named = keyId === null ? [...keys.keys()] : keys.has(keyId) ? [keyId] : [];
    if (named.length === 0) unknown += 1;
    for (const id of named) {
      if (signedBy.has(id) || left === 0) continue;
      left -= 1;
      if (verifier.isSignature(keys.get(id) ?? '', payloadType, payload, signature)) signedBy.add(id);
      else if (keyId !== null) wrong.add(id);
    }
  }
  return { role, needed: threshold, signedBy: [...signedBy], wrong: [...wrong], unknown };
}

/** The refusal of an envelope with fewer signatures than the threshold; null where there are enough. */
export function tooFew(count: SignatureCount): Refusal | null {
  return count.signedBy.length >= count.needed ? null : { reason: 'signatures', ...count };
}

/** The first mistake of a document, with its field, in few characters. */
export function malformed({ issues: [issue] }: z.ZodError): Refusal & { reason: 'malformed' } {
  const field = pathText(issue?.path ?? []).slice(0, FIELD_CHARS_MAX);
  return { reason: 'malformed', field, problem: (issue?.message ?? '').slice(0, PROBLEM_CHARS_MAX) };
}

const FIELD_CHARS_MAX = 100;
const PROBLEM_CHARS_MAX = 200;

/** Standard or URL-safe base64, with padding or without; null where the text is not the form of its bytes. */
function bytesOf(text: string): Buffer | null {
  const standard = text.replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Buffer.from(standard, 'base64');
  const whole = bytes.toString('base64');
  return standard === whole || standard === whole.replace(/=+$/, '') ? bytes : null;
}
