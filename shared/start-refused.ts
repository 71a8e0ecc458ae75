/** Why a command does not start, for causes other than bugs: the fix, and the exit code. */
import { EXIT, type ExitCode } from './exit-codes.ts';

export class StartRefused extends Error {
  /** 78 where a restart does not help, 1 for a transient cause. */
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode, cause?: unknown) {
    super(message, { cause });
    this.name = 'StartRefused';
    this.exitCode = exitCode;
  }
}

/**
 * `error` as a transient refusal, with `what` before its text. Refusals stay unchanged, and so do errors of
 * the program itself, which are bugs.
 */
export function refusedFor(what: string, error: unknown): unknown {
  const isBug = error instanceof TypeError || error instanceof ReferenceError || error instanceof SyntaxError;
  if (error instanceof StartRefused || isBug || !(error instanceof Error)) return error;
  // Node.js has no message when none of a name's several addresses answers.
  const code = 'code' in error ? String(error.code) : error.name;
  return new StartRefused(`${what}: ${error.message || code}`, EXIT.failed, error);
}
