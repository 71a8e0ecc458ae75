/** Output of the commands. Results go to stdout, everything else to stderr. */
import type { ExitCode } from '../shared/exit-codes.ts';
import { printableLines } from '../shared/printable.ts';
import { terminal } from './terminal.ts';

/**
 * JSON.stringify escapes C0 alone; the rest would act on a terminal, and means the same when it is escaped.
 */
const ESCAPED = /[\u007f-\u009f\p{Bidi_Control}\u2028\u2029]/gu;

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

export function printLine(text: string): void {
  terminal().stdout.write(`${printableLines(text)}\n`);
}

export function printJson(body: unknown): void {
  const text = JSON.stringify(body, null, 2).replace(ESCAPED, unicodeEscape);
  terminal().stdout.write(`${text}\n`);
}

/** Prints one line on stderr; returns `code` as the exit code. */
export function fail(message: string, code: ExitCode): ExitCode {
  terminal().stderr.write(`headgate: ${printableLines(message)}\n`);
  return code;
}

/**
 * The text of a thrown value, on one line. (The function in shared/log.ts would load pino for every
 * `--help`.)
 */
export function thrownText(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\s*\n\s*/g, ' ').slice(0, 500);
}
