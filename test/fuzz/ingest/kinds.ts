/** The kinds of hostile envelopes, and the form that each has. */
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import type { EnvelopeSigner } from '../../../shared/envelope/frame.ts';
import type { EnvelopeSealer } from '../../../shared/envelope/seal.ts';

export const KINDS = [
  'noise',
  'truncated',
  'flipped',
  'cbor',
  'schema',
  'bomb',
  'oversized',
  'nul',
  'foreign',
] as const;

/** Unsealed ones that the gateway did not send so. */
export const FORGERIES = [
  'stripped',
  'forged',
  'stranger',
  'cross-gateway',
  'downgraded',
  'grafted',
] as const;

/** Claims that an envelope without a verified signature may not make, where a source accepts any. */
export const UNPROVEN = ['wide-gap', 'far-end'] as const;

export type Kind = (typeof KINDS)[number];
export type Unproven = (typeof UNPROVEN)[number];
export type Forgery = (typeof FORGERIES)[number];

/** The keys of gw-1, of another registered gateway, and of nobody. */
export interface FuzzKeys {
  own: EnvelopeSigner;
  other: EnvelopeSigner;
  stranger: EnvelopeSigner;
}

/** Sealers of gw-1 unless it is said otherwise. */
export interface FuzzSeals {
  /** To a key that the router has, some with another recipient before it. */
  good: readonly [EnvelopeSealer, ...EnvelopeSealer[]];
  /** To a key that the router has removed. */
  withdrawn: EnvelopeSealer;
  /** To a key that it never had. */
  unknown: EnvelopeSealer;
  /** Of gw-2, to a key that the router has. */
  other: EnvelopeSealer;
}

export const SEALED = [
  'seal-flipped',
  'seal-truncated',
  'seal-downgraded',
  'seal-moved',
  'seal-stranger',
  'seal-cross-gateway',
  'seal-foreign',
  'seal-moved-signed',
  'seal-other-gateway',
  'seal-head',
  'seal-encapsulated-key',
  'seal-wrapped-key',
  'seal-content',
  'seal-unknown-key',
  'seal-withdrawn-key',
  'seal-stripped',
  'seal-bare',
  'seal-names',
  'seal-bomb',
  'seal-noise',
] as const;

export type Sealed = (typeof SEALED)[number];

export const SIGNATURE_REASONS = ['unsigned', 'unknown-key', 'signature'];

export interface Hostile {
  /** `largest` and `too large`: by the bounds of a source, not by the seed alone. */
  kind: Kind | Forgery | Unproven | Sealed | 'largest' | 'too large';
  bytes: Buffer;
  /** Any of these is right. */
  reasons: readonly string[];
  /** Its content, where it is the gateway's own, and the router lacks the key; null for all others. */
  genuine: Envelope | null;
}

/** A flipped bit or a cut is found by whichever check comes to it first. */
export const DAMAGED = ['truncated', 'magic', 'version', 'flags', 'checksum', 'frame'];
export function made(kind: Hostile['kind'], bytes: Uint8Array, reasons: readonly string[]): Hostile {
  return { kind, bytes: Buffer.from(bytes), reasons, genuine: null };
}
