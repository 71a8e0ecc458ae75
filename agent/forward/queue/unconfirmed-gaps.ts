/**
 * Gaps and the end of an epoch that a provider took and no receipt confirms yet, in a stream that waits for
 * receipts: they are announced again when they do not arrive, or what was given up would stay missing for
 * ever (I3). Pure (I11).
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

  /** What a receipt confirms of them, and is over with it. */
  confirmed(covered: IntervalSet, sealedAt: number | null): { gaps: Gap[]; end: boolean } {
    const isThere = ({ gap }: { gap: Gap }): boolean => covered.contains(gap.first, gap.last);
    const gaps = this.#gaps.filter(isThere).map(({ gap }) => gap);
    this.#gaps = this.#gaps.filter((one) => !isThere(one));
    const end = this.#end !== null && sealedAt !== null && sealedAt >= this.#end.sealedAt;
    if (end) this.#end = null;
    return { gaps, end };
  }

  /** What was taken at `untilMs` or before, to be announced again. */
  takeOverdue(untilMs: number): { gaps: Gap[]; sealedAt: number | null } {
    const late = this.#gaps.filter(({ atMs }) => atMs <= untilMs);
    this.#gaps = this.#gaps.filter(({ atMs }) => atMs > untilMs);
    const isLate = this.#end !== null && this.#end.atMs <= untilMs;
    const sealedAt = isLate ? (this.#end?.sealedAt ?? null) : null;
    if (isLate) this.#end = null;
    return { gaps: late.map(({ gap }) => gap), sealedAt };
  }
}
