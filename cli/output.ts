/** Output of the commands. Results go to stdout, everything else to stderr. */
import type { ExitCode } from '../shared/exit-codes.ts';
import { terminal } from './terminal.ts';

export function printLine(text: string): void {
  terminal().stdout.write(`${text}\n`);
}

export function printJson(body: unknown): void {
  terminal().stdout.write(`${JSON.stringify(body, null, 2)}\n`);
}

/** Prints one line on stderr; returns `code` as the exit code. */
export function fail(message: string, code: ExitCode): ExitCode {
  terminal().stderr.write(`headgate: ${message}\n`);
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
