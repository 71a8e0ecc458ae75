/** Text from anywhere, made safe for a terminal. Pure. */

/**
 * Control characters of C0 and C1, those that turn the direction of the text around them, and the separators
 * of Unicode, which some terminals take for a new line.
 */
const UNPRINTABLE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const UNPRINTABLE_IN_LINES = /[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]/gu;

/** One line without characters that move the cursor or turn the text: it may come from anywhere. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, ' ');
}

/** The same for a text of several lines, with tabs. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, ' ');
}
