/** Ledgers of one test. */

import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { LedgerMaintenance } from '../../../router/ledger/maintenance.ts';
import { testDir } from '../../test-dir.ts';
import type { LedgerEngine } from './engine.ts';

let places = 0;

/** A new ledger, closed at the end of the test (closing twice is allowed). */
export async function fresh(
  t: Test,
  engine: LedgerEngine,
  options: Parameters<LedgerEngine['open']>[1] = {},
): Promise<{ ledger: Ledger; place: string }> {
  places += 1;
  const place = engine.place(testDir(t), `contract-${places}`);
  const ledger = await engine.open(place, options);
  t.teardown(() => ledger.close());
  return { ledger, place };
}

/** An empty ledger with its maintenance contract. */
export async function freshWithMaintenance(
  t: Test,
  engine: LedgerEngine,
  options: Parameters<LedgerEngine['open']>[1] = {},
): Promise<{ ledger: Ledger; maintenance: LedgerMaintenance; place: string }> {
  const { ledger, place } = await fresh(t, engine, options);
  return { ledger, maintenance: ledger.maintenance, place };
}
