import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { CommitTurns } from '../../../router/ingest/commit-turns.ts';
import { INGEST_LIMITS, sizeOf, type Waiting } from '../../../router/ingest/group.ts';
import { LetterTurns } from '../../../router/ingest/letter-turns.ts';
import { ManualClock } from '../../manual-clock.ts';
import { envelope, seqs } from '../ledger/envelopes.ts';

let next = 0;

/** An envelope of so many records that waits. */
function waits(gateway: string, records: number): Waiting {
  next += 1;
  const made = envelope({ gateway, epoch: `${next}-0000000a`, seqs: seqs(1, records) });
  const entry = {
    envelope: made,
    source: 'aws',
    receivedWallMs: 0,
    redelivered: false,
    sentAs: null,
    verified: true,
    jumpMax: 1,
  };
  const delivery = {
    source: 'aws',
    bytes: Buffer.alloc(0),
    authenticatedGateway: gateway,
    deliveryCount: null,
  };
  const sender = { source: 'aws', gateway, isProven: true };
  return { entry, delivery, sender, bytes: sizeOf(made), settle: () => undefined };
}

function gatewaysOf(group: readonly Waiting[]): string[] {
  return group.map(({ entry }) => entry.envelope.gateway);
}

t.test('gateways take turns, and an envelope of thousands goes alone', (t) => {
  const turns = new CommitTurns({ ...INGEST_LIMITS, groupRecordsMax: 100 });
  for (const [gateway, records] of [
    ['big', 100],
    ['big', 100],
    ['a', 1],
    ['a', 1],
    ['b', 40],
  ] as const)
    turns.add(waits(gateway, records), 0);
  t.same(gatewaysOf(turns.next(0).group), ['big'], 'who came first');
  t.same(gatewaysOf(turns.next(0).group), ['a', 'b', 'a'], 'the others have no share in it');
  t.same(gatewaysOf(turns.next(0).group), ['big']);
  t.match(turns, { size: 0, bytes: 0 });
  t.end();
});

t.test('a gateway whose commits take long rests while others are about', (t) => {
  const turns = new CommitTurns(INGEST_LIMITS);
  const first = waits('big', 1000);
  turns.add(first, 0);
  turns.add(waits('big', 1000), 0);
  t.equal(turns.next(0).group.length, 2, 'alone, it has all of the ledger');
  turns.took([first], 100, 100);
  turns.add(waits('big', 1000), 100);
  t.equal(turns.next(100).group.length, 1, 'alone, it never rests');

  turns.took([first], 100, 200);
  turns.add(waits('small', 1), 200);
  turns.add(waits('big', 1000), 200);
  t.same(gatewaysOf(turns.next(200).group), ['small']);
  t.same(turns.next(200), { group: [], waitMs: 150 }, 'one and a half times as long as it took');
  t.same(gatewaysOf(turns.next(350).group), ['big']);

  turns.took([first], 60_000, 60_350);
  turns.add(waits('small', 1), 60_350);
  turns.add(waits('big', 1), 60_350);
  t.same(gatewaysOf(turns.next(60_350).group), ['small']);
  t.equal(turns.next(60_350).waitMs, 1000, 'at most a second');
  t.same(gatewaysOf(turns.next(61_350).group), ['big']);

  turns.took([waits('big', 1), waits('small', 1)], 15, 61_350);
  turns.add(waits('small', 1), 61_350);
  turns.add(waits('big', 1), 61_350);
  t.equal(turns.next(61_350).group.length, 2, 'short commits cost no rest');

  turns.took([first], 60_000, 71_000);
  turns.add(waits('big', 1), 71_351);
  t.equal(turns.next(71_351).group.length, 1, 'the other was not heard of for ten seconds');
  t.end();
});

t.test('of so many gateways the rests are remembered (I10)', (t) => {
  const turns = new CommitTurns(INGEST_LIMITS);
  const group = seqs(1, 10_001).map((i) => waits(`gw-${i}`, 1));
  turns.took(group, 100 * group.length, 0);
  turns.add(waits('gw-1', 1), 0);
  turns.add(waits('gw-2', 1), 0);
  t.same(gatewaysOf(turns.next(0).group), ['gw-1'], 'the oldest is forgotten');
  t.equal(turns.next(0).waitMs, 150);
  t.end();
});

t.test('of each gateway nothing is lost, doubled or overtaken, and a group is within its limits', (t) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ gateway: fc.constantFrom('a', 'b', 'c'), records: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ tookMs: fc.integer({ min: 0, max: 300 }) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const turns = new CommitTurns({ ...INGEST_LIMITS, groupEnvelopesMax: 4, groupRecordsMax: 40 });
      const added = new Map<string, Waiting[]>();
      const taken = new Map<string, Waiting[]>();
      let nowMs = 0;
      const commit = (tookMs: number): void => {
        const { group, waitMs } = turns.next(nowMs);
        nowMs += waitMs;
        const records = group.reduce((sum, { entry }) => sum + entry.envelope.records.length, 0);
        if (group.length > 4 || (group.length > 1 && records > 40)) throw new Error('too large a group');
        if (group.length === 0 && waitMs === 0 && turns.size > 0) throw new Error('it stands still');
        for (const one of group)
          taken.set(one.entry.envelope.gateway, [...(taken.get(one.entry.envelope.gateway) ?? []), one]);
        nowMs += tookMs;
        turns.took(group, tookMs, nowMs);
      };
      for (const step of all) {
        if ('tookMs' in step) commit(step.tookMs);
        else {
          const one = waits(step.gateway, step.records);
          added.set(step.gateway, [...(added.get(step.gateway) ?? []), one]);
          turns.add(one, nowMs);
        }
      }
      for (let left = 1000; turns.size > 0; left -= 1) {
        if (left === 0) throw new Error('it does not end');
        commit(1);
      }
      for (const [gateway, ones] of added) {
        const got = taken.get(gateway) ?? [];
        if (got.length !== ones.length || got.some((one, i) => one !== ones[i])) throw new Error(gateway);
      }
      return turns.bytes === 0;
    }),
    { numRuns: 200 },
  );
  t.pass();
  t.end();
});

/** Letters that take ten milliseconds each, and the order in which they were written. */
function letterDesk(alone: boolean) {
  const clock = new ManualClock();
  const written: string[] = [];
  let inHand = 0;
  const turns = new LetterTurns({ clock, isAlone: () => alone });
  const write = (sender: string): Promise<number> =>
    turns.inTurn(sender, async () => {
      inHand += 1;
      clock.advance(10);
      await nextTurn();
      written.push(sender);
      inHand -= 1;
      return inHand;
    });
  return { clock, written, turns, write };
}

t.test('dead letters: one at a time, senders take turns', async (t) => {
  const { written, write } = letterDesk(true);
  const all = ['bad', 'bad', 'bad', 'other'].map(write);
  t.same(await Promise.all(all), [0, 0, 0, 0], 'none beside another');
  t.same(written, ['bad', 'bad', 'other', 'bad'], 'the first began before the other came');
});

t.test('a sender of dead letters rests while other gateways are about', async (t) => {
  const { clock, written, turns, write } = letterDesk(false);
  await write('bad');
  const [second, third] = [write('bad'), write('bad')];
  await write('other');
  t.same(written, ['bad', 'other'], 'it rests, another sender does not');
  clock.advance(5);
  await second;
  t.same(written, ['bad', 'other', 'bad']);
  await nextTurn();
  t.equal(written.length, 3, 'it rests again');
  turns.hurry();
  await third;
  t.equal(written.length, 4, 'a stop waits for no rest');
  await t.rejects(
    turns.inTurn('bad', () => Promise.reject(new Error('full'))),
    /full/,
  );
});
