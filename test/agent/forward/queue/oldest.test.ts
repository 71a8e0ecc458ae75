/** The age of the oldest record, from real stores over outages, evictions and restarts. */
import t from 'tap';
import { inBootOf } from '../../../../agent/forward/queue/oldest.ts';
import type { Store } from '../../../../agent/store/store.ts';
import { systemClock } from '../../../../shared/clock.ts';
import { testDir } from '../../../test-dir.ts';
import { until } from '../../../until.ts';
import { appendAll, bufferFile, record } from '../../store/fixture.ts';
import { type Agent, agentOn } from '../fixture.ts';

const HOUR_MS = 3_600_000;

const oldestMs = (agent: Agent): number | null => agent.forwarder.streams()[0]?.oldestAgeMs ?? null;

/** A record that was taken in that long ago. */
async function appendAged(store: Store, agoMs: number): Promise<void> {
  await store.append({ ...record('old'), monoMs: Math.floor(systemClock.monoMs() - agoMs) });
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
  await appendAged(before.store, 2 * HOUR_MS);
  await appendAged(before.store, HOUR_MS);
  const { epoch } = before.store;
  await before.stop();
  const after = await agentOn(file, { providers: ['a'], down: new Set(['a']) });
  await until('it is two hours old', () => (oldestMs(after) ?? 0) >= 2 * HOUR_MS);
  await after.store.giveUp(epoch, 'telemetry', 1, 1, 'quota');
  await until('the oldest that is left is one hour old', () => (oldestMs(after) ?? 0) < 2 * HOUR_MS);
  t.ok((oldestMs(after) ?? 0) >= HOUR_MS);
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

t.test('records of another boot: by wall clock where both are known, otherwise since this boot', async (t) => {
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
});
