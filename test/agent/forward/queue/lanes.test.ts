import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { type Lane, LaneShare } from '../../../../agent/forward/queue/lanes.ts';

/** The lanes of `count` envelopes while both lanes wait. */
function taken(lanes: LaneShare, count: number): Lane[] {
  return Array.from({ length: count }, () => {
    const [lane = 'live'] = lanes.order(0);
    lanes.took(lane);
    return lane;
  });
}

t.test('live first, and the backlog gets its share', async (t) => {
  t.strictSame(taken(new LaneShare(0.5), 4), ['live', 'backlog', 'live', 'backlog']);
  t.strictSame(taken(new LaneShare(0.25), 8).filter((lane) => lane === 'backlog').length, 2);
  t.strictSame(new Set(taken(new LaneShare(0), 50)), new Set(['live']));
  t.equal(taken(new LaneShare(1), 50).filter((lane) => lane === 'live').length, 1);
});

t.test(
  'whatever went before, the share holds over any hundred envelopes in which both lanes wait',
  async () => {
    const before = fc.array(fc.constantFrom<Lane>('live', 'backlog'), { maxLength: 200 });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), before, (share, alone) => {
        const lanes = new LaneShare(share);
        for (const lane of alone) lanes.took(lane);
        const backlog = taken(lanes, 100).filter((lane) => lane === 'backlog').length;
        assert(Math.abs(backlog - share * 100) <= 3, `${backlog} of 100 with a share of ${share}`);
      }),
    );
  },
);

t.test('the backlog rests half as long as its envelope took, and not for long; live goes on', async (t) => {
  const lanes = new LaneShare(1);
  t.equal(lanes.built('live', 0, 1000), 0);
  t.strictSame(lanes.order(1000), ['live', 'backlog']);
  t.equal(lanes.built('backlog', 1000, 1020), 10);
  t.strictSame(lanes.order(1029), ['live']);
  t.strictSame(lanes.order(1030), ['live', 'backlog']);
  t.equal(lanes.built('backlog', 2000, 9000), 50);
  t.strictSame(lanes.order(9050), ['live', 'backlog']);
});
