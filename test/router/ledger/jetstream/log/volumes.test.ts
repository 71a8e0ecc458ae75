/** Volumes and shares from a log with commits of routers from before there were shares. */
import t from 'tap';
import type { Commit, CommitEntry } from '../../../../../router/ledger/jetstream/log/commit-format.ts';
import { LoggedVolumes } from '../../../../../router/ledger/jetstream/log/volumes.ts';
import { removalEntry } from '../../../../../router/ledger/jetstream/removal.ts';
import { dueOf } from '../../../../../router/ledger/rules/retention.ts';
import { IntervalSet } from '../../../../../shared/interval-set.ts';

const HOUR_MS = 3_600_000;
const none = IntervalSet.empty();
const keyOf = (gateway: string) => ({ gateway, epoch: '1-aa', stream: 'telemetry' });
const ids = IntervalSet.of([{ first: 1, last: 1 }]);

function brought(gateway: string, hour: number, bytes: number, isShared = true): Commit {
  const entry = { ...nothing(gateway, 0), fresh: ids, storedBytes: bytes, removal: null };
  return commit([entry], isShared, [{ gateway, source: 'aws', lastWallMs: hour * HOUR_MS }]);
}

function nothing(gateway: string, bytes: number): CommitEntry {
  return removalEntry(keyOf(gateway), { why: 'retention', ids, gone: ids, aside: [], moved: none, bytes });
}

function commit(entries: CommitEntry[], isShared = true, contacts: Commit['contacts'] = []): Commit {
  return { number: 0, offset: 0, duplicates: 0, conflicts: 0, entries, contacts, bootClocks: [], isShared };
}

/** A log with these commits, each at its place from 1. */
async function followed(commits: readonly Commit[], hasShares = true): Promise<LoggedVolumes> {
  const head = { seq: commits.length, number: 0, offset: 0, duplicates: 0, conflicts: 0 };
  const at = async (seq: number) => {
    const found = commits[seq - 1];
    return found ? { seq, commit: found } : null;
  };
  const volumes = new LoggedVolumes({ head, at }, hasShares);
  t.ok(await volumes.follow());
  return volumes;
}

t.test('commits from before are in no share, and their volumes leave first', async (t) => {
  const commits = [
    brought('a', 1, 50, false),
    brought('b', 2, 30, false),
    brought('b', 2, 20),
    brought('a', 3, 40),
  ];
  const volumes = await followed(commits);
  t.strictSame(volumes.holders(null), [
    { gateway: 'a', bytes: 40 },
    { gateway: 'b', bytes: 20 },
  ]);
  t.match(volumes.share('a', 'telemetry'), { from: 4 });
  const leaving = (bytes: number) =>
    dueOf([{ streams: '*', max_bytes: bytes }], volumes.all(), volumes.shared(), 9 * HOUR_MS);
  t.match(leaving(100).leaving, [{ volume: { hour: 1, isShared: false, from: 1, to: 1 } }]);
  t.match(leaving(70).leaving, [
    { volume: { hour: 1 } },
    { volume: { hour: 2, isShared: false, bytes: 30 } },
  ]);
  for (const { volume } of leaving(10).leaving) volumes.left(volume, volume.to);
  t.match(leaving(50), { leaving: [], overfull: [{ held: 60, heldMax: 50 }] });
});

t.test('a removal says what it took from the share, and one from before took nothing', async (t) => {
  const volumes = await followed([
    brought('a', 1, 50),
    brought('a', 2, 30),
    commit([nothing('a', 50)]),
    commit([nothing('a', 0)], false),
    brought('b', 3, 10),
    commit([nothing('b', 99)]),
  ]);
  t.strictSame(volumes.holders(['telemetry']), [{ gateway: 'a', bytes: 30 }]);
  t.strictSame([...volumes.shared()], [['telemetry', 30]]);
});

t.test('without a rule that needs them there are no shares', async (t) => {
  const volumes = await followed([brought('a', 1, 50)], false);
  t.strictSame(volumes.holders(null), []);
  t.match(volumes.all(), [{ hour: 1, bytes: 50 }]);
});
