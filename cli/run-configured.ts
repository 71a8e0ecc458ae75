/**
 * Common start of the long-running commands: an invalid configuration is reported in full, with its own exit
 * code.
 */
import type { ConfigResult } from '../shared/config/load.ts';
import { formatProblems } from '../shared/config/problem.ts';
import { EXIT } from '../shared/exit-codes.ts';
import { fail } from './output.ts';

export async function runConfigured<T>(
  loaded: ConfigResult<T>,
  run: (config: T) => Promise<number>,
): Promise<number> {
  return loaded.ok ? run(loaded.config) : fail(formatProblems(loaded.problems), EXIT.config);
}
