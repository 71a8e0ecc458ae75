/** The command line as a process: what bin/headgate.js runs. */
import { systemClock } from '../shared/clock.ts';
import { report, run } from './program.ts';

/** Longest time that a library's open socket keeps a finished command alive. */
const LINGER_MS_MAX = 2000;

/**
 * Runs the command in `argv` (as `process.argv`) and sets the exit code of shared/exit-codes.ts. Never
 * rejects.
 */
export async function main(argv: readonly string[]): Promise<void> {
  // Every file of every command is its user's alone, whatever the shell or the unit says.
  process.umask(0o077);
  process.on('uncaughtException', (error) => process.exit(report(error)));
  // `headgate status | head -1` closes the pipe early; that is not an error.
  process.stdout.on('error', () => process.exit());
  await run(argv, process);
  systemClock.setTimer(LINGER_MS_MAX, () => process.exit());
}
