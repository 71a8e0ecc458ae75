/**
 * Why a record came twice. The gateway marks an envelope that it sends a second time
 * (shared/envelope/send-reason.ts), and either of the two may arrive first: a hedge often overtakes the first
 * try, which carries no mark. So the mark of the version in the ledger counts where the repeated one has
 * none.
 */
import type { SendReason } from '../../../shared/envelope/send-reason.ts';
import type { CommitResult, RepeatCause } from '../types.ts';

/** Every cause once. */
export const REPEAT_CAUSES = [
  'redelivery',
  'hedge',
  'failover',
  'redundant',
  'other-source',
  'same-source',
  'unknown',
] as const satisfies readonly RepeatCause[];

/** How one version came. */
export interface Way {
  source: string;
  sentAs?: SendReason | null;
}

/** `first`: the version in the ledger; null without one. */
export function causeOf(again: Way & { redelivered?: boolean }, first: Way | null | undefined): RepeatCause {
  if (again.redelivered) return 'redelivery';
  if (!first) return 'unknown';
  if (first.source === again.source) return 'same-source';
  return again.sentAs ?? first.sentAs ?? 'other-source';
}

/** Counts one duplicate. */
export function countCause(causes: CommitResult['causes'], cause: RepeatCause): void {
  causes[cause] = (causes[cause] ?? 0) + 1;
}

/** Zero for each cause. */
export function noRepeats(): Record<RepeatCause, number> {
  return {
    redelivery: 0,
    hedge: 0,
    failover: 0,
    redundant: 0,
    'other-source': 0,
    'same-source': 0,
    unknown: 0,
  };
}
