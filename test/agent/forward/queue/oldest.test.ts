/** The age of the oldest record, from real stores over outages, evictions and restarts. */
import t from 'tap';
import { inBootOf } from '../../../../agent/forward/queue/oldest.ts';
import { StreamQueue } from '../../../../agent/forward/queue/stream-queue.ts';
import type { Store } from '../../../../agent/store/store.ts';
import { IntervalSet } from '../../../../shared/interval-set.ts';
import type { SeqRange } from '../../../../shared/record.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { appendAll, bufferFile, record } from '../../store/fixture.ts';
import { type Agent, agentOn } from '../fixture.ts';

/** Longer than machines run. */
const AGE_MS = 1000 * 24 * 3_600_000;

const oldestMs = (agent: Agent): number | null => agent.forwarder.streams()[0]?.oldestAgeMs ?? null;

/** A record that was taken in so long before this boot. */
async function appendAged(store: Store, beforeMs: number): Promise<void> {
  await store.append({ ...record('old'), monoMs: -beforeMs });
}

t.test('one record waits through an outage: it has an age while it is tried and in between', async (t) => {
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a'], down: new Set(['a']) });
  await appendAll(agent.store, ['waits']);
  await until('it was refused', () => (agent.senders.get('a')?.counters.failed ?? 0) > 0);
  t.type(oldestMs(agent), 'number');
  await until('it is older than it was', () => (oldestMs(agent) ?? 0) > 100);
  await agent.stop();
});

t.test('after a restart the record is as old as it is, and what is left of them later', async (t) => {
  const file = bufferFile(testDir(t));
  const before = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await appendAged(before.store, 2 * AGE_MS);
  await appendAged(before.store, AGE_MS);
  const { epoch } = before.store;
  await before.stop();
  const after = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await until('it is as old as the older', () => (oldestMs(after) ?? 0) >= 2 * AGE_MS);
  await after.store.giveUp(epoch, 'telemetry', 1, 1, 'quota');
  await until('it is as old as the one that is left', () => (oldestMs(after) ?? 0) < 2 * AGE_MS);
  t.ok((oldestMs(after) ?? 0) >= AGE_MS);
  await after.stop();
});

t.test('a buffer from which all was given up has no age', async (t) => {
  const agent = await agentOn(bufferFile(testDir(t)), { providers: ['a'], down: new Set(['a']) });
  await appendAll(agent.store, ['gone', 'gone too']);
  await until('they wait', () => oldestMs(agent) !== null);
  await agent.store.giveUp(agent.store.epoch, 'telemetry', 1, 2, 'quota');
  await until('nothing waits', () => oldestMs(agent) === null);
  await agent.stop();
});

t.test(
  'records of another boot: by wall clock where both are known, otherwise since this boot',
  async (t) => {
    const then = { bootId: 'then', offsetMs: 1_000_000, quality: 'synchronised' } as const;
    const now = { bootId: 'now', offsetMs: 5_000_000, quality: 'synchronised' } as const;
    const epochs = [
      { epoch: '1-a', clock: then, current: false },
      { epoch: '2-b', clock: { ...then, quality: 'unsynchronised' as const }, current: false },
      { epoch: '3-c', clock: now, current: true },
    ];
    const inThisBoot = inBootOf(now, epochs);
    t.equal(inThisBoot('1-a', 500), 500 + 1_000_000 - 5_000_000);
    t.equal(inThisBoot('1-a', 9_000_000), 0, 'not in this boot, whatever the clocks say');
    t.equal(inThisBoot('2-b', 500), 0, 'its clock was not known');
    t.equal(inThisBoot('3-c', 500), 500);
    t.equal(inBootOf({ ...now, quality: 'unsynchronised' }, epochs)('1-a', 500), 0, 'ours is not known');
    t.equal(inBootOf({ ...now, offsetMs: -7 }, epochs)('3-c', 500), 500, 'a step of the clock is no age');
  },
);

function queueOf(found: SeqRange[]): StreamQueue {
  const rest = { accepted: new Map(), gaps: [], sealedAt: null };
  return new StreamQueue({ epoch: '1-ab', stream: 's', pending: IntervalSet.of(found), ...rest });
}

t.test('a row that went out and came back is as old as it was', async (t) => {
  const queue = queueOf([]);
  queue.committed(1, 1, 100, 40);
  queue.reserve(1, 1);
  queue.packed({ first: 1, last: 1 }, null);
  t.equal(queue.oldestWaitingMs(), 40);
  queue.release(1, 1);
  t.equal(queue.oldestWaitingMs(), 40);
});

t.test('rows given up are forgotten: the age is that of the oldest row left', async (t) => {
  const queue = queueOf([]);
  queue.committed(1, 10, 100, 0);
  queue.committed(11, 20, 100, 500);
  queue.gaveUp({ first: 1, last: 10, reason: 'quota' });
  t.equal(queue.oldestWaitingMs(), 500);
  queue.age(5400, 5000);
  t.equal(queue.laneOf(11), 'live', 'nor does it make backlog of younger ones');
  queue.gaveUp({ first: 11, last: 20, reason: 'quota' });
  t.equal(queue.oldestWaitingMs(), null, 'an empty buffer has no age');
  queue.committed(21, 21, 100, 9000);
  t.equal(queue.oldestWaitingMs(), 9000);
});

t.test('rows that a provider took and lost are as old as before', async (t) => {
  const queue = queueOf([]);
  queue.committed(1, 1, 1, 100);
  queue.accepted('a', 1, 1, 1, true);
  queue.committed(2, 2, 1, 900);
  t.equal(queue.oldestWaitingMs(), 900, 'one that waits for a receipt only is with a provider');
  queue.doubt('a', { first: 1, last: 1 }, 5000);
  t.equal(queue.oldestWaitingMs(), 100);
});

t.test('rows found in the buffer are dated by it', async (t) => {
  const queue = queueOf([{ first: 1, last: 5 }]);
  t.equal(queue.oldestWaitingMs(), null);
  t.equal(queue.undatedRow(), 1);
  queue.dated(1, -3000);
  t.equal(queue.undatedRow(), null, 'it is asked once');
  t.equal(queue.oldestWaitingMs(), -3000);
  queue.committed(6, 6, 1, 100);
  queue.accepted('a', 1, 3, 1);
  t.equal(queue.oldestWaitingMs(), -3000, 'at most so old, until the buffer has told');
  t.equal(queue.undatedRow(), 4);
  queue.dated(4, -1000);
  t.equal(queue.oldestWaitingMs(), -1000);
  queue.accepted('a', 4, 5, 1);
  t.equal(queue.oldestWaitingMs(), 100);
  t.equal(queue.undatedRow(), null, 'rows of this process are dated');
});
