/** The assignment of partitions to routers: every turn of every router, as a pure function (I11). */
import fc from 'fast-check';
import t from 'tap';
import type { Position } from '../../../../router/sources/event-hubs/position.ts';
import {
  formatShares,
  leave,
  ownedBy,
  parseShares,
  type Shares,
  takeTurn,
} from '../../../../router/sources/event-hubs/shares.ts';

const NONE: ReadonlyMap<string, Position> = new Map();
const at = (sequenceNumber: number): Position => ({
  createdMs: 1,
  sequenceNumber,
  offset: String(sequenceNumber),
});

function turn(
  before: Shares,
  router: string,
  { gone = [] as string[], partitions = ['0', '1', '2', '3', '4'], positions = NONE } = {},
): Shares {
  const after = takeTurn(before, { router, gone: new Set(gone), partitions, positions });
  return parseShares(formatShares(after));
}

t.test('the first takes all, each that comes takes its part, and who leaves gives it back', async (t) => {
  let shares = turn(parseShares(null), 'a');
  t.equal(ownedBy(shares, 'a').length, 5);
  shares = turn(shares, 'b');
  t.same([ownedBy(shares, 'a').length, ownedBy(shares, 'b').length], [3, 2]);
  shares = turn(shares, 'c');
  t.same([ownedBy(shares, 'a').length, ownedBy(shares, 'b').length, ownedBy(shares, 'c').length], [2, 2, 1]);
  shares = leave(shares, 'a', NONE);
  t.equal(ownedBy(shares, null).length, 2);
  shares = turn(turn(shares, 'b'), 'c');
  t.same([ownedBy(shares, 'b').length, ownedBy(shares, 'c').length], [3, 2]);
});

t.test('the partitions of a router that is gone go to those that live', async (t) => {
  const both = turn(turn(parseShares(null), 'a'), 'b');
  const shares = turn(both, 'b', { gone: ['a'] });
  t.same(ownedBy(shares, 'b'), ['0', '1', '2', '3', '4']);
  t.same(Object.keys(shares.routers), ['b']);
});

t.test(
  'a checkpoint is moved by the owner alone: one that lost its partition cannot move it back',
  async (t) => {
    const partitions = ['0'];
    let shares = turn(parseShares(null), 'a', { partitions });
    shares = turn(shares, 'a', { partitions, positions: new Map([['0', at(5)]]) });
    t.equal(shares.partitions['0']?.position?.sequenceNumber, 5);
    shares = turn(shares, 'b', { partitions, gone: ['a'], positions: new Map([['0', at(1)]]) });
    t.equal(
      shares.partitions['0']?.position?.sequenceNumber,
      5,
      'what it had of it in an earlier life counts for nothing',
    );
    shares = turn(shares, 'b', { partitions, positions: new Map([['0', at(9)]]) });
    shares = turn(shares, 'a', { partitions, positions: new Map([['0', at(6)]]) });
    t.match(shares.partitions['0'], { owner: 'b', position: { sequenceNumber: 9 } });
    shares = leave(shares, 'a', new Map([['0', at(6)]]));
    t.match(shares.partitions['0'], { owner: 'b', position: { sequenceNumber: 9 } });
    shares = leave(shares, 'b', new Map([['0', at(10)]]));
    t.match(shares.partitions['0'], { owner: null, position: { sequenceNumber: 10 } });
  },
);

t.test('whatever came and went: a turn of each, and every partition has one living owner, evenly', (t) => {
  const names = ['a', 'b', 'c', 'd'];
  const step = fc.record({ router: fc.constantFrom(...names), leaves: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (steps, count) => {
      const partitions = Array.from({ length: count }, (_, i) => String(i));
      let shares = parseShares(null);
      for (const { router, leaves } of steps) {
        shares = leaves ? leave(shares, router, NONE) : turn(shares, router, { partitions });
      }
      for (const router of ['a', 'b']) shares = turn(shares, router, { partitions, gone: ['c', 'd'] });
      for (const router of ['a', 'b']) shares = turn(shares, router, { partitions });
      const counts = ['a', 'b'].map((router) => ownedBy(shares, router).length);
      return (
        counts.reduce((sum, n) => sum + n, 0) === count && Math.max(...counts) - Math.min(...counts) <= 1
      );
    }),
  );
  t.end();
});

t.test('a text of another form is not believed', async (t) => {
  t.throws(() => parseShares('{"routers":{}}'));
  t.throws(() => parseShares('not json'));
});
