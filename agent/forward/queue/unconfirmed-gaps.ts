/**
 * Gaps and the end of an epoch that a provider took and no receipt confirms yet, in a stream with `until:
 * receipt`. They are announced again when they do not arrive; otherwise the records given up would count as
 * missing for ever (I3). Pure (I11).
 */
import type { IntervalSet } from '../../../shared/interval-set.ts';
import type { Gap } from '../../../shared/record.ts';

export class UnconfirmedGaps {
  #gaps: Array<{ gap: Gap; atMs: number }> = [];
  #end: { sealedAt: number; atMs: number } | null = null;

  get isEmpty(): boolean {
    return this.#gaps.length === 0 && this.#end === null;
  }

  gap(gap: Gap, atMs: number): void {
    this.#gaps.push({ gap, atMs });
  }

  end(sealedAt: number, atMs: number): void {
    this.#end = { sealedAt, atMs };
  }

  /** Removes and returns the announcements that a receipt confirms. */
  confirmed(covered: IntervalSet, sealedAt: number | null): { gaps: Gap[]; end: boolean } {
    const isThere = ({ gap }: { gap: Gap }): boolean => covered.contains(gap.first, gap.last);
    const gaps = this.#gaps.filter(isThere).map(({ gap }) => gap);
    this.#gaps = this.#gaps.filter((one) => !isThere(one));
    const end = this.#end !== null && sealedAt !== null && sealedAt >= this.#end.sealedAt;
    if (end) this.#end = null;
    return { gaps, end };
  }

  /** Removes and returns the announcements taken at `untilMs` or before, to be announced again. */
  takeOverdue(untilMs: number): { gaps: Gap[]; sealedAt: number | null } {
    const late = this.#gaps.filter(({ atMs }) => atMs <= untilMs);
    this.#gaps = this.#gaps.filter(({ atMs }) => atMs > untilMs);
    const isLate = this.#end !== null && this.#end.atMs <= untilMs;
    const sealedAt = isLate ? (this.#end?.sealedAt ?? null) : null;
    if (isLate) this.#end = null;
    return { gaps: late.map(({ gap }) => gap), sealedAt };
  }
}
