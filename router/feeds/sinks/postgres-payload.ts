/**
 * Which payloads go into a jsonb column. PostgreSQL refuses some texts that are JSON by RFC 8259 (manual,
 * "JSON Types": U+0000, unpaired surrogates; numbers that its `numeric` cannot hold), and one refused row
 * fails its whole batch. So only payloads without them count as JSON; the feed stores all others as bytes,
 * without loss.
 */
import { isUtf8 } from 'node:buffer';
import { isJson } from './cloud-event.ts';

/**
 * In a row: far below the limits of `numeric`, 131,072 before and 16,383 after the point (manual, "Numeric
 * Types").
 */
const DIGITS_MAX = 1000;
const EXPONENT_DIGITS_MAX = 3;
/** The server's stack limits the depth of JSON (`max_stack_depth`). */
const DEPTH_MAX = 256;
const ESCAPED_NUL_OR_SURROGATE = /^u(?:0000|[dD][89a-fA-F])/;

/** The text for a jsonb column, or null where the feed must store bytes. */
export function jsonbText(payload: Buffer): string | null {
  if (!isUtf8(payload)) return null;
  const text = payload.toString('utf8');
  return isJson(text) && isWithinLimits(text) ? text : null;
}

/** For JSON texts. One pass over the characters: a hostile payload may be large and slow to match. */
function isWithinLimits(text: string): boolean {
  let depth = 0;
  let digits = 0;
  let exponent = false;
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const character = text.charAt(i);
    if (quoted) {
      if (character === '"') quoted = false;
      if (character !== '\\') continue;
      i += 1;
      if (ESCAPED_NUL_OR_SURROGATE.test(text.slice(i, i + 4 + 1))) return false;
    } else if (character >= '0' && character <= '9') {
      digits += 1;
      if (digits > (exponent ? EXPONENT_DIGITS_MAX : DIGITS_MAX)) return false;
    } else if (character === 'e' || character === 'E') {
      exponent = digits > 0;
      digits = 0;
    } else if (character !== '+' && character !== '-') {
      digits = 0;
      exponent = false;
      quoted = character === '"';
      if (character === '[' || character === '{') depth += 1;
      if (character === ']' || character === '}') depth -= 1;
      if (depth > DEPTH_MAX) return false;
    }
  }
  return true;
}
