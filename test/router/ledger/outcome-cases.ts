/** The outcome of a commit for an envelope, range by range. */
import type { Test } from 'tap';
import type { LedgerEntry } from '../../../router/ledger/types.ts';
import type { LedgerEngine } from './engine.ts';
import { entry, gap, record, seqs } from './envelopes.ts';
import { fresh } from './fresh.ts';

export function outcomeCases(t: Test, engine: LedgerEngine): void {
  t.test('a commit says of each range of an envelope what became of it', async (t) => {
    const { ledger } = await fresh(t, engine);
    const told = async (one: LedgerEntry): Promise<string[] | undefined> =>
      (await ledger.commit([one]))[0]?.ranges.map((r) => `${r.first}-${r.last} ${r.outcome}`);
    t.strictSame(await told(entry({ seqs: seqs(1, 500) })), ['1-500 new'], 'one range where all is new');
    t.strictSame(await told(entry({ seqs: [501, 502, 505] })), ['501-502 new', '505-505 new']);
    const gaps = [gap(503, 504), gap(507, 508, 'age'), gap(509, 510)];
    t.strictSame(await told(entry({ seqs: [], gaps })), ['503-504 gap', '507-510 gap']);
    t.strictSame(await told(entry({ seqs: [499, 500, 501], gaps: [gap(503, 506)] }, 'gcp')), [
      '499-501 duplicate',
      '506-506 gap',
    ]);
    const forged = entry({ seqs: [10, 11, 12] });
    forged.envelope.records = [...seqs(8, 9), 10, 11, 12, 504, 506, 511].map((seq) =>
      record(seq, seq === 10 || seq === 12 ? 'forged' : undefined),
    );
    t.strictSame(await told(forged), [
      '8-9 duplicate',
      '10-10 conflict',
      '11-11 duplicate',
      '12-12 conflict',
      '504-504 new',
      '506-506 new',
      '511-511 new',
    ]);
    t.strictSame(await told(entry({ stream: '_heartbeat' })), []);
  });
}
