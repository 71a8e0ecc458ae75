/**
 * Why a gateway sent an envelope that another provider may have too: the property `why` beside the bytes
 * (docs/reference/envelope.md). It only explains a duplicate: no decision depends on it, readers may ignore
 * it, and its absence has no meaning.
 */

const REASONS = [
  /** The first provider had not answered in its usual time. */
  'hedge',
  /** Another provider refused the envelope, or accepted it and did not deliver it. */
  'failover',
  /** The stream asks for several copies, and this is one of them. */
  'redundant',
] as const;

export type SendReason = (typeof REASONS)[number];

/** Parses the property's value, of any type; null for an unknown reason. */
export function sendReasonOf(value: unknown): SendReason | null {
  return REASONS.find((reason) => reason === value) ?? null;
}
