/** The holds of a provider as text: routing's reasons, and the operators' texts for `manual`. */
import type { HoldReason } from '../routing/core/reasons.ts';
import type { Holds } from './holds.ts';

export function holdTexts(provider: string, reasons: readonly HoldReason[], holds: Holds): string[] {
  return reasons.flatMap((reason) => {
    if (reason !== 'manual') return [reason];
    const own = holds.list().filter((hold) => hold.provider === provider);
    if (own.length === 0) return [reason];
    return own.map(({ reason: said, leftMs }) => {
      const left = leftMs === null ? '' : `, ${Math.ceil(leftMs / 60_000)} min left`;
      return `manual: ${said}${left}`;
    });
  });
}
