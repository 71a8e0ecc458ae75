/** Bounds of fleet documents (I10). A gateway reads them from clouds, so each is checked before its work. */
import type { DocumentKind } from './kinds.ts';

/** Bytes of one kind: of its content in JSON, and of the zstd frame that is signed. */
interface ContentLimits {
  readonly rawBytes: number;
  readonly packedBytes: number;
}

const KIB = 1024;

/** An assignment or an order with a dozen signatures has 6 KB, which each downlink carries inline. */
export const CONTENT_LIMITS: Readonly<Record<DocumentKind, ContentLimits>> = {
  root: { rawBytes: 64 * KIB, packedBytes: 16 * KIB },
  policy: { rawBytes: 256 * KIB, packedBytes: 64 * KIB },
  assignment: { rawBytes: 16 * KIB, packedBytes: 3 * KIB },
  order: { rawBytes: 16 * KIB, packedBytes: 3 * KIB },
};

/** Characters of an envelope: the largest payload in base64, and 16 signatures with their key ids. */
export const ENVELOPE_CHARS_MAX = 96 * KIB;
export const SIGNATURES_MAX = 16;
export const KEYS_MAX = 16;
/** Ed25519 verifications of one envelope against one role. A signature without key id may need several. */
export const VERIFICATIONS_MAX = 32;
/** Memory of a zstd decoder: its window. */
export const WINDOW_BYTES_MAX = 8 * KIB * KIB;
