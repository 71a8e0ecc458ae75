/** `headgate ledger verify`. */

import type { LedgerVerification } from '../../router/ledger/types.ts';
import { line, table } from '../format.ts';

const RANGES_SHOWN = 5;

export function renderVerification({ streams, records, problems, problemCount }: LedgerVerification): string {
  const head = `${records} records in ${streams} streams: ${problemCount === 0 ? 'clean' : `${problemCount} problems`}`;
  if (problemCount === 0) return line(head);
  const rows = problems.map(({ gateway, epoch, stream, problem, ranges }) => {
    const shown = ranges.slice(0, RANGES_SHOWN).map(({ first, last }) => `${first}–${last}`);
    return [
      gateway,
      epoch,
      stream,
      problem,
      `${shown.join(', ')}${ranges.length > RANGES_SHOWN ? ', …' : ''}`,
    ];
  });
  return `${line(head)}\n\n${table(['GATEWAY', 'EPOCH', 'STREAM', 'PROBLEM', 'SEQS'], rows, 3)}`;
}
