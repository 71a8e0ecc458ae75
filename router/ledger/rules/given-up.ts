/** The ids that a gateway gave up on purpose, by its reason. Pure (I11). */
import { IntervalSet } from '../../../shared/interval-set.ts';
import { GAP_REASONS, type GapReason } from '../../../shared/record.ts';

export type GivenUp = Readonly<Record<GapReason, IntervalSet>>;

export function givenUpOf(set: (reason: GapReason) => IntervalSet): GivenUp {
  return {
    quota: set('quota'),
    age: set('age'),
    corruption: set('corruption'),
    'too-large': set('too-large'),
    rejected: set('rejected'),
  };
}

/** Nearly no stream has given-up ids: all streams share the empty sets. */
export const NOTHING_GIVEN_UP: GivenUp = givenUpOf(() => IntervalSet.empty());

export function isNothing(givenUp: GivenUp): boolean {
  return GAP_REASONS.every((reason) => givenUp[reason].size === 0);
}
