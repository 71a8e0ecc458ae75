/** The contract's needs of a ledger engine. Each engine has a module that exports this as `engine`. */
import { pathToFileURL } from 'node:url';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { ConflictPolicyOf } from '../../../router/ledger/rules/conflict-policy.ts';

export interface LedgerEngine {
  name: string;
  /**
   * Opens the ledger at `place`, made when there is none: opening one place again, also in another process,
   * is a reopen.
   */
  open(place: string, options?: { conflictPolicyOf?: ConflictPolicyOf }): Promise<Ledger>;
  /** A new place. `folder` is an empty folder of the test's. */
  place(folder: string, name: string): string;
  /** Makes the closed ledger at `place` one of the version before shares; absent where no schema says so. */
  withoutShares?(place: string): Promise<void>;
}

/** The engine that `file` exports. */
export async function loadEngine(file: string): Promise<LedgerEngine> {
  const module: { engine: LedgerEngine } = await import(pathToFileURL(file).href);
  return module.engine;
}
