/** The options of a ledger besides its engine; no replica of a run needs them to decide anything. */
import type { RouterConfig } from '../../router/config.ts';

const DEAD_LETTERS = { max_bytes: 2 ** 20, max_age: 86_400_000 };

export function configOf(
  ledger: RouterConfig['ledger'],
): Pick<RouterConfig, 'ledger' | 'data_dir' | 'conflicts' | 'dead_letters'> {
  return { ledger, data_dir: '', conflicts: [], dead_letters: DEAD_LETTERS };
}
