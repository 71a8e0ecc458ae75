import t from 'tap';
import { UnconfirmedGaps } from '../../../../agent/forward/queue/unconfirmed-gaps.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';

const GAP = { first: 3, last: 5, reason: 'quota' } as const;
const covered = (first: number, last: number): IntervalSet => IntervalSet.of([{ first, last }]);

t.test('a gap is over once a receipt covers all of it, an end once one has it (I3)', async (t) => {
  const unconfirmed = new UnconfirmedGaps();
  unconfirmed.gap(GAP, 1000);
  unconfirmed.end(9, 1000);
  t.same(unconfirmed.confirmed(covered(1, 4), null), { gaps: [], end: false });
  t.same(unconfirmed.confirmed(covered(1, 5), 8), { gaps: [GAP], end: false });
  t.notOk(unconfirmed.isEmpty);
  t.same(unconfirmed.confirmed(covered(1, 9), 9), { gaps: [], end: true });
  t.ok(unconfirmed.isEmpty);
});

t.test('what is not confirmed in time is announced again (I3)', async (t) => {
  const unconfirmed = new UnconfirmedGaps();
  unconfirmed.gap(GAP, 1000);
  unconfirmed.end(9, 2000);
  t.same(unconfirmed.takeOverdue(999), { gaps: [], sealedAt: null });
  t.same(unconfirmed.takeOverdue(1000), { gaps: [GAP], sealedAt: null });
  t.same(unconfirmed.takeOverdue(2000), { gaps: [], sealedAt: 9 });
  t.ok(unconfirmed.isEmpty);
});
