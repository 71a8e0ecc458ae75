/** Routers that share a hub through one store: the partitions of each, and their positions. */
import t, { type Test } from 'tap';
import { Ownership } from '../../../../router/sources/event-hubs/ownership.ts';
import type { Position } from '../../../../router/sources/event-hubs/position.ts';
import { parseShares } from '../../../../router/sources/event-hubs/shares.ts';
import type { Clock } from '../../../../shared/clock.ts';
import { clock, log, memoryCheckpoints } from '../../../loopback/azure-fixture.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { until } from '../../../until.ts';

const at = (sequenceNumber: number): Position => ({
  createdMs: 1,
  sequenceNumber,
  offset: String(sequenceNumber),
});
const LEASE_MS = 15_000;

type Store = ReturnType<typeof memoryCheckpoints>;

/** Of partition 0. */
function place(store: Store): number | undefined {
  const [text = null] = store.saved.values();
  return parseShares(text).partitions['0']?.position?.sequenceNumber;
}

/** A router that is told what to read. */
function router(t: Test, store: Store, name: string, leaseMs = 300, time: Clock = clock) {
  const reads = new Map<string, number | null>();
  const events: string[] = [];
  const ownership = new Ownership({
    source: 'azure',
    key: 'hub/$Default',
    router: name,
    store,
    leaseMs,
    onGained: (partition, from) => {
      reads.set(partition, from?.sequenceNumber ?? null);
      events.push(`+${partition}`);
    },
    onLost: (partition) => {
      reads.delete(partition);
      events.push(`-${partition}`);
    },
    clock: time,
    log,
  });
  t.teardown(() => ownership.leave());
  const start = async (...partitions: string[]): Promise<void> => {
    await ownership.join(partitions);
    ownership.hold();
  };
  return { ownership, reads, events, start };
}

t.test('two share, one ends by itself, and the other goes on from its place', async (t) => {
  const store = memoryCheckpoints(true);
  const a = router(t, store, 'a');
  await a.start('0', '1');
  t.same(
    [...a.reads],
    [
      ['0', null],
      ['1', null],
    ],
  );
  a.ownership.settled('0', at(4));
  a.ownership.settled('1', at(7));
  const b = router(t, store, 'b');
  await b.start('0', '1');
  t.equal(b.reads.size, 1);
  await until('a to find out', () => a.reads.size === 1);
  t.same(new Set([...a.reads.keys(), ...b.reads.keys()]), new Set(['0', '1']));
  const [kept = ''] = a.reads.keys();
  a.ownership.settled(kept, at(9));
  await a.ownership.leave();
  await until('b to take it', () => b.reads.size === 2);
  t.equal(b.reads.get(kept), 9);
});

t.test('a router that takes no turn is gone after its lease, and moves no checkpoint back', async (t) => {
  const store = memoryCheckpoints(true);
  const frozen = new ManualClock();
  const a = router(t, store, 'a', LEASE_MS, frozen);
  await a.start('0');
  const time = new ManualClock();
  const b = router(t, store, 'b', LEASE_MS, time);
  await b.start('0');
  const beat = (): number => parseShares([...store.saved.values()][0] ?? null).routers['b'] ?? 0;
  const before = beat();
  time.advance(LEASE_MS - 1000);
  await until('a turn of b', () => beat() > before);
  t.same(b.events, [], 'not before');
  time.advance(LEASE_MS / 5);
  await until('b to take it', () => b.reads.has('0'));
  b.ownership.settled('0', at(9));
  time.advance(300);
  await until('the checkpoint', () => place(store) === 9);

  a.ownership.settled('0', at(4));
  frozen.advance(300);
  await until('a to find out', () => a.events.join() === '+0,-0');
  t.equal(place(store), 9);
  await a.ownership.leave();
  t.equal(place(store), 9);
});

t.test('a store that is away is asked again, and what was read meanwhile is kept', async (t) => {
  const store = memoryCheckpoints(true);
  let away: boolean = true;
  let failed = 0;
  const failing = {
    ...store,
    replaceCheckpoint: (...change: Parameters<Store['replaceCheckpoint']>) => {
      if (!away) return store.replaceCheckpoint(...change);
      failed += 1;
      return Promise.reject(new Error('away'));
    },
  };
  const a = router(t, failing, 'a');
  await t.rejects(a.start('0'), /away/);
  t.equal(a.reads.size, 0);
  away = false;
  await a.start('0');
  away = true;
  a.ownership.settled('0', at(4));
  const tried = failed;
  await until('a save that fails', () => failed > tried);
  t.equal(place(store), undefined);
  away = false;
  await until('the checkpoint', () => place(store) === 4);
  t.same(a.events, ['+0'], 'it went on all the time');
});

t.test('alone, what is there of others is of a former life', async (t) => {
  const store = memoryCheckpoints();
  const a = router(t, store, 'a', 0);
  await a.start('0', '1');
  a.ownership.settled('1', at(3));
  await until('the checkpoint', () => [...store.saved.values()].join().includes('"sequenceNumber":3'));
  const b = router(t, store, 'b', 0);
  await b.start('0', '1');
  t.same(
    [...b.reads],
    [
      ['0', null],
      ['1', 3],
    ],
    'at once, though a did not say that it ended',
  );
});

t.test('a checkpoint from when each partition had its own is where it goes on', async (t) => {
  const store = memoryCheckpoints(true);
  store.saved.set('azure hub/$Default/1', JSON.stringify(at(42)));
  const a = router(t, store, 'a');
  await a.start('0', '1');
  t.same(
    [...a.reads],
    [
      ['0', null],
      ['1', 42],
    ],
  );
  const b = router(t, store, 'b');
  await a.ownership.leave();
  await b.start('0', '1');
  t.same(
    [...b.reads],
    [
      ['0', null],
      ['1', 42],
    ],
    'also for the next, where nothing was settled since',
  );
});

t.test('turns do not pile up behind a store that does not answer (I10)', async (t) => {
  const store = memoryCheckpoints(true);
  const answer = Promise.withResolvers<void>();
  const asked: string[] = [];
  const slow = {
    ...store,
    replaceCheckpoint: async (...change: Parameters<Store['replaceCheckpoint']>) => {
      asked.push(change[3]);
      if (asked.length > 1) await answer.promise;
      return store.replaceCheckpoint(...change);
    },
  };
  const time = new ManualClock();
  const a = router(t, slow, 'a', LEASE_MS, time);
  await a.start('0');
  for (let lease = 0; lease < 20; lease += 1) {
    time.advance(LEASE_MS);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(asked.length, 2);
  answer.resolve();
  await until('the turn that waited', () => asked.length === 3);
  await a.ownership.leave();
  t.equal(asked.length, 4, 'the one under way, one that waited, and the leaving');
});
