/**
 * The expected answer of a source to a message. A cloud takes every message that is not too large for it:
 * only the router finds out what is in it. The router's own endpoint says so at once, in a way that ends the
 * sender's tries (I9).
 */
import type { Outcome } from '../../../agent/providers/publisher.ts';

/** The bytes were damaged on the way: docs/reference/https.md. */
const DAMAGED: ReadonlySet<string> = new Set([
  'truncated',
  'magic',
  'flags',
  'checksum',
  'compression',
  'cbor',
]);

/** The sender may not send it, or cannot be verified. */
const NOT_ALLOWED: ReadonlySet<string> = new Set([
  'foreign-gateway',
  'unsigned',
  'unknown-key',
  'signature',
  'unproven',
  'unsealed',
  'seal-key',
  'seal',
]);

/** Whether more tries of the same bytes are of use. */
export function isFinal({ kind }: Outcome): boolean {
  return kind === 'accepted' || kind === 'rejected';
}

/**
 * The mistake in the answer of the router's own endpoint to a message that became a dead letter for `reason`;
 * null if nothing.
 */
export function wrongAnswer(outcome: Outcome | undefined, reason: string): string | null {
  const isForeign = NOT_ALLOWED.has(reason);
  const status = isForeign ? 403 : DAMAGED.has(reason) ? 400 : 422;
  const isRight =
    outcome?.kind === 'rejected' &&
    outcome.scope === (isForeign ? 'provider' : 'envelope') &&
    outcome.detail.startsWith(`HTTP ${status} `);
  return isRight ? null : `${reason} was answered with ${JSON.stringify(outcome)}, not with ${status}`;
}

export function isTooLarge(outcome: Outcome): boolean {
  return outcome.kind === 'rejected' && outcome.scope === 'envelope' && outcome.cause === 'too-large';
}
