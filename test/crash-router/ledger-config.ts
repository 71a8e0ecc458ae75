/** The options of a ledger besides its engine; no replica of a run needs them to decide anything. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RouterConfig } from '../../router/config.ts';

const DEAD_LETTERS = { max_bytes: 2 ** 20, max_age: 86_400_000 };

export function configOf(
  ledger: RouterConfig['ledger'],
): Pick<RouterConfig, 'ledger' | 'data_dir' | 'conflicts' | 'dead_letters'> {
  // Of its own: what a router remembers of its ledger must not outlive the run.
  const data_dir = mkdtempSync(join(tmpdir(), 'headgate-crash-router-'));
  process.once('exit', () => rmSync(data_dir, { recursive: true, force: true }));
  return { ledger, data_dir, conflicts: [], dead_letters: DEAD_LETTERS };
}
