/** `headgate hold`. */
import type { HoldList } from '../../shared/admin-api/holds.ts';
import { spanText, table } from '../format.ts';

export function renderHolds({ holds }: HoldList): string {
  if (holds.length === 0) return 'no holds';
  const rows = holds.map(({ provider, reason, since, clock, leftMs, isKnown }) => [
    isKnown ? provider : `${provider} (not configured)`,
    reason,
    since,
    clock,
    leftMs === null ? 'until it is ended' : spanText(leftMs),
  ]);
  return table(['PROVIDER', 'REASON', 'SINCE', 'CLOCK', 'LEFT'], rows);
}
