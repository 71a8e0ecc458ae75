/**
 * A receipt in a device twin: one desired property that holds the receipt's JSON text, cut into pieces.
 *
 * As text, because what a twin does to values is not what a receipt needs (Azure docs, "Understand and use
 * device twins in IoT Hub"): a null removes its key, an update is merged into what was there, integers end at
 * 2^52. And in pieces, because a text is at most 4 KB long. Every update names every piece, those that are
 * not needed as null, so that nothing of a longer receipt stays behind.
 */

/** The desired property. */
export const TWIN_RECEIPT = 'headgate_receipt';

const PIECE_BYTES_MAX = 4000;
const PIECES_MAX = 7;
/** Of the 32 KB of all desired properties; the rest is left to others. */
export const TWIN_RECEIPT_BYTES_MAX = PIECE_BYTES_MAX * PIECES_MAX;

/** The property's new value. `text`: ASCII, at most {@link TWIN_RECEIPT_BYTES_MAX} long. */
export function twinPieces(text: string): Record<string, string | null> {
  return Object.fromEntries(
    Array.from({ length: PIECES_MAX }, (_, i) => {
      const piece = text.slice(i * PIECE_BYTES_MAX, (i + 1) * PIECE_BYTES_MAX);
      return [`part${i}`, piece === '' ? null : piece];
    }),
  );
}

/** The receipt's text in desired properties or in an update of them; null when they hold none. */
export function twinText(desired: unknown): string | null {
  const pieces = member(desired, TWIN_RECEIPT);
  if (pieces === undefined || pieces === null) return null;
  return Array.from({ length: PIECES_MAX }, (_, i) => member(pieces, `part${i}`))
    .filter((piece) => typeof piece === 'string')
    .join('');
}

function member(object: unknown, key: string): unknown {
  return typeof object === 'object' && object !== null ? Reflect.get(object, key) : undefined;
}
