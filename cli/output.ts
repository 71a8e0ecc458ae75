/** What commands print. Results go to stdout, everything else to stderr. */
import type { ExitCode } from '../shared/exit-codes.ts';

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(body: unknown): void {
  process.stdout.write(`${JSON.stringify(body, null, 2)}\n`);
}

/** One clear line on stderr; returns `code` for the command to end with. */
export function fail(message: string, code: ExitCode): ExitCode {
  process.stderr.write(`headgate: ${message}\n`);
  return code;
}

/**
 * The text of whatever was thrown, on one line. (That of shared/log.ts would load pino for every `--help`.)
 */
export function thrownText(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\s*\n\s*/g, ' ').slice(0, 500);
}
