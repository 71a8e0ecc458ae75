/**
 * Why a gateway sent an envelope that another provider may have too: the property `why` beside the bytes
 * (docs/reference/envelope.md). It names the cause of a duplicate and decides nothing: readers pass over it,
 * and its absence says nothing.
 */

const REASONS = [
  /** The provider that was asked first had not answered in its usual time. */
  'hedge',
  /** Another provider did not take it, or took it and did not deliver. */
  'failover',
  /** The stream asks for several copies, and this is one of them. */
  'redundant',
] as const;

export type SendReason = (typeof REASONS)[number];

/** Reads the property's value, of any type; null when it is not a known reason. */
export function sendReasonOf(value: unknown): SendReason | null {
  return REASONS.find((reason) => reason === value) ?? null;
}
