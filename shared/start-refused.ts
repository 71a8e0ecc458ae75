/** Why a command does not start, where the cause is no bug: what to mend, and the exit code that says so. */
import { EXIT, type ExitCode } from './exit-codes.ts';

export class StartRefused extends Error {
  /** 78 where a restart mends nothing, 1 where the cause may pass. */
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode, cause?: unknown) {
    super(message, { cause });
    this.name = 'StartRefused';
    this.exitCode = exitCode;
  }
}

/**
 * `error` as a refusal that may pass, with `what` could not be done before its text. Refusals stay as they
 * are, and so do errors of the program itself, which are bugs.
 */
export function refusedFor(what: string, error: unknown): unknown {
  const isBug = error instanceof TypeError || error instanceof ReferenceError || error instanceof SyntaxError;
  if (error instanceof StartRefused || isBug || !(error instanceof Error)) return error;
  // Of a name with several addresses, none of which answers, Node.js has no message.
  const code = 'code' in error ? String(error.code) : error.name;
  return new StartRefused(`${what}: ${error.message || code}`, EXIT.failed, error);
}
