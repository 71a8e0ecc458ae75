/** A ledger's content, read back for a test. */
import type { Ledger } from '../../../router/ledger/ledger.ts';

/** The seqs in the order of their offsets. */
export async function offsets(ledger: Ledger): Promise<number[]> {
  return (await ledger.read(0, 1000)).map(({ seq }) => seq);
}

export async function everything(ledger: Ledger): Promise<unknown> {
  return {
    records: await ledger.read(0, 1000),
    completeness: await ledger.completeness(),
    contacts: await ledger.contacts('', 100),
    conflicts: await ledger.conflicts(100),
    deadLetters: await ledger.deadLetters(100),
    totals: await ledger.totals(),
    cursor: (await ledger.loadFeedPosition('nats')).offset,
    checkpoint: await ledger.loadCheckpoint('azure', '0'),
  };
}
