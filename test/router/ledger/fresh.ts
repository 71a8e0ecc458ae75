/** Ledgers of one test. */
import type { Test } from 'tap';
import type { Ledger } from '../../../router/ledger/ledger.ts';
import type { LedgerEngine } from './engine.ts';

let places = 0;

/** A new ledger, closed at the end of the test (closing twice is allowed). */
export async function fresh(t: Test, engine: LedgerEngine): Promise<{ ledger: Ledger; place: string }> {
  places += 1;
  const place = engine.place(t.testdir(), `contract-${places}`);
  const ledger = await engine.open(place);
  t.teardown(() => ledger.close());
  return { ledger, place };
}
