/** `headgate where`. */
import type { TimeSpan, WhereAnswer } from '../../shared/admin-api/where.ts';
import { line, table } from '../format.ts';

export function renderWhere(answer: WhereAnswer): string {
  const head = line(`${answer.id}: ${stateText(answer)}`);
  if (answer.accepted.length === 0) return head;
  const rows = answer.accepted.map(({ provider, ...span }) => [provider, ...spanCells(span)]);
  return `${head}\n\n${table(['ACCEPTED BY', 'NOT BEFORE', 'NOT AFTER', 'CLOCK'], rows)}`;
}

function stateText({ state, reason, gaveUp, accepted, copies, notesSince }: WhereAnswer): string {
  switch (state) {
    case 'waiting':
      return `waits in the buffer; ${accepted.length} of ${copies ?? 'unknown'} copies accepted`;
    case 'delivered':
      return copies !== null && accepted.length < copies
        ? `freed from the buffer; the notes have ${accepted.length} of ${copies} copies`
        : 'delivered';
    case 'given-up': {
      const when = gaveUp ? `, between ${gaveUp.from} and ${gaveUp.to} (${gaveUp.clock})` : '';
      return `given up (${reason})${when}; a gap is delivered in its place`;
    }
    case 'not-yet-given':
      return 'no record has this id yet';
    case 'unknown':
      return `neither in the buffer nor in the notes, which ${
        notesSince === null ? 'are empty' : `reach back to ${notesSince}`
      }`;
  }
}

function spanCells({ from, to, clock }: TimeSpan): string[] {
  return [from, to, clock];
}
