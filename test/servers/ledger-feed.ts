/**
 * The generator of the replica run: what each writer is fed, the same from the same numbers in every process. Each record
 * is fed twice, to two different writers, cut into envelopes differently each time, in a shuffled order.
 */
import type { LedgerEntry } from '../../router/ledger/ledger.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';

export const WRITERS = 3;
export const GATEWAYS = 20;
const ENVELOPE_RECORDS = 100;
/** Where the second cut begins: no envelope of it has the bounds of one of the first. */
const SECOND_CUT = 37;
const GROUP_ENVELOPES = 16;

/** The groups that `writer` commits, of `perGateway` records in each gateway's stream. */
export function groupsOf(writer: number, perGateway: number): LedgerEntry[][] {
  const entries: LedgerEntry[] = [];
  for (let gateway = 0; gateway < GATEWAYS; gateway += 1) {
    for (const [cut, begin] of [1, 1 - SECOND_CUT].entries()) {
      for (let first = begin, i = 0; first <= perGateway; first += ENVELOPE_RECORDS, i += 1) {
        if ((gateway + cut + i) % WRITERS !== writer) continue;
        const range = seqs(Math.max(1, first), Math.min(perGateway, first + ENVELOPE_RECORDS - 1));
        entries.push(entry({ gateway: `gw-${gateway}`, seqs: range }, `source-${writer}`));
      }
    }
  }
  shuffle(entries, writer);
  return Array.from({ length: Math.ceil(entries.length / GROUP_ENVELOPES) }, (_, i) =>
    entries.slice(i * GROUP_ENVELOPES, (i + 1) * GROUP_ENVELOPES),
  );
}

function shuffle(entries: LedgerEntry[], seed: number): void {
  const entropy = seededEntropy(seed + 1);
  for (let i = entries.length - 1; i > 0; i -= 1) {
    const j = Math.floor(entropy.float() * (i + 1));
    const [a, b] = [entries[i], entries[j]];
    if (a && b) [entries[i], entries[j]] = [b, a];
  }
}
