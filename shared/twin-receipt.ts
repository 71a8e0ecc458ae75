/**
 * A receipt in a device twin: one desired property with the receipt's JSON text, cut into pieces.
 *
 * It is text because a twin changes values (Azure docs, "Understand and use device twins in IoT Hub"): a null
 * removes its key, an update is merged into the old value, integers end at 2^52. It is in pieces because a
 * text is at most 4 KB long. Every update names every piece, unused ones as null, so that nothing of a longer
 * receipt remains.
 */
import { wireJson } from './wire-json.ts';

/** The desired property. */
export const TWIN_RECEIPT = 'headgate_receipt';

/**
 * Of a twin or an update. Desired and reported properties have at most 32 KB each (Azure docs, "Understand
 * and use device twins in IoT Hub"), which escapes and the hub's own fields make longer.
 */
export const TWIN_BYTES_MAX = 256 * 1024;
const PIECE_BYTES_MAX = 4000;
const PIECES_MAX = 7;
/** Part of the 32 KB of all desired properties; the rest is for other uses. */
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

/** The receipt's text in a twin as the hub answers with it; null without one. */
export function receiptInTwin(payload: Uint8Array): string | null {
  return twinText(member(wireJson(payload, TWIN_BYTES_MAX), 'desired'));
}

/** The same, of an update of the desired properties. */
export function receiptInUpdate(payload: Uint8Array): string | null {
  return twinText(wireJson(payload, TWIN_BYTES_MAX));
}

function twinText(desired: unknown): string | null {
  const pieces = member(desired, TWIN_RECEIPT);
  if (pieces === undefined || pieces === null) return null;
  return Array.from({ length: PIECES_MAX }, (_, i) => member(pieces, `part${i}`))
    .filter((piece) => typeof piece === 'string')
    .join('');
}

function member(object: unknown, key: string): unknown {
  return typeof object === 'object' && object !== null ? Reflect.get(object, key) : undefined;
}
