import t from 'tap';
import { Announced } from '../../../../agent/forward/queue/unconfirmed-gaps.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';

const GAP = { first: 3, last: 5, reason: 'quota' } as const;
const covered = (first: number, last: number): IntervalSet => IntervalSet.of([{ first, last }]);

t.test('a gap is over once a receipt covers all of it, an end once one has it (I3)', async (t) => {
  const announced = new Announced();
  announced.gap(GAP, 1000);
  announced.end(9, 1000);
  t.same(announced.confirmed(covered(1, 4), null), { gaps: [], end: false });
  t.same(announced.confirmed(covered(1, 5), 8), { gaps: [GAP], end: false });
  t.notOk(announced.isEmpty);
  t.same(announced.confirmed(covered(1, 9), 9), { gaps: [], end: true });
  t.ok(announced.isEmpty);
});

t.test('what is not confirmed in time is announced again (I3)', async (t) => {
  const announced = new Announced();
  announced.gap(GAP, 1000);
  announced.end(9, 2000);
  t.same(announced.takeOverdue(999), { gaps: [], sealedAt: null });
  t.same(announced.takeOverdue(1000), { gaps: [GAP], sealedAt: null });
  t.same(announced.takeOverdue(2000), { gaps: [], sealedAt: 9 });
  t.ok(announced.isEmpty);
});
