/**
 * JSON that came over a network: it is measured before it is parsed, and its mistakes are told in few words
 * (I10). A document of 100,000 wrong fields makes as long a text as one of three.
 */
import { z } from 'zod';

const ISSUES_SHOWN = 3;
const PROBLEM_CHARS_MAX = 200;

/** The value; undefined where the text is longer than `bytesMax`, or is no JSON. Never throws. */
export function wireJson(text: Uint8Array | string, bytesMax: number): unknown {
  // A UTF-16 unit takes a byte in UTF-8 at least.
  if (text.length > bytesMax) return undefined;
  try {
    return JSON.parse(typeof text === 'string' ? text : Buffer.from(text).toString());
  } catch {
    return undefined;
  }
}

/**
 * At most `max` items of the form `item`; a longer list is one mistake, found before any item is looked at.
 */
export function wireList<Item extends z.ZodType>(item: Item, max: number) {
  return z.array(z.unknown()).max(max).pipe(z.array(item));
}

/** The first mistakes, for a log line or an answer. */
export function problemOf(error: z.ZodError): string {
  const first = new z.ZodError(error.issues.slice(0, ISSUES_SHOWN));
  return z.prettifyError(first).slice(0, PROBLEM_CHARS_MAX);
}
