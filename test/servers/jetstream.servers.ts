/**
 * The ledger on a real JetStream cluster: the contract of every engine, and what only a cluster can do to it.
 * `node test/servers/jetstream.servers.ts 2000000` feeds the killed replicas that many records.
 */
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { openJetStreamLedger } from '../../router/ledger/jetstream/engine.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import type { CommitResult } from '../../router/ledger/types.ts';
import { crashRun, isClean } from '../crash-router/run.ts';
import { runLedgerContract } from '../router/ledger/contract.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';
import { leaseCases } from '../router/ledger/lease-cases.ts';
import { engine, optionsOf, SERVERS_VARIABLE } from './jetstream-engine.ts';
import { natsCluster } from './nats-cluster.ts';
import { removalCases } from './removal-cases.ts';

const RECORDS = Number(process.argv[2] ?? 100_000);

t.setTimeout(900_000);
const cluster = await natsCluster();
t.teardown(() => cluster.remove());
process.env[SERVERS_VARIABLE] = cluster.servers.join(' ');

async function opened(t: Test, place: string, timeoutMs = 20_000): Promise<Ledger> {
  const ledger = await openJetStreamLedger({ ...optionsOf(place), timeoutMs });
  t.teardown(() => ledger.close());
  return ledger;
}

await t.test('of what replicas decide on the same state, one commit is taken (I5)', async (t) => {
  const ledgers = await Promise.all(seqs(1, 3).map(() => opened(t, 'crossing')));
  const results = await Promise.all(
    seqs(1, 100).flatMap((round) =>
      ledgers.map((ledger, i) => {
        const group = ['a', 'b', 'c', 'd'].map((stream) => entry({ stream, seqs: seqs(round, round + 4) }));
        return ledger.commit(i % 2 === 0 ? group : group.reverse());
      }),
    ),
  );
  t.equal(
    results.flat().reduce((sum, result) => sum + result.new, 0),
    4 * 104,
    'each record was new once',
  );
  for (const ledger of ledgers) {
    t.match(await ledger.totals(), { records: 4 * 104, duplicates: 4 * (3 * 500 - 104), conflicts: 0 });
    t.match(await ledger.verify(), { records: 4 * 104, problemCount: 0 });
  }
});

await t.test('replicas that make a ledger at once make one', async (t) => {
  for (const round of seqs(1, 8)) {
    const ledgers = await Promise.all(seqs(1, 3).map(() => opened(t, `made-at-once-${round}`)));
    for (const [i, ledger] of ledgers.entries()) await ledger.commit([entry({ seqs: seqs(1, i + 1) })]);
    for (const ledger of ledgers) t.match(await ledger.totals(), { records: 3, conflicts: 0 });
    for (const ledger of ledgers) await ledger.close();
  }
});

await removalCases(t, { opened, servers: cluster.servers });

await t.test('a replica that is behind meets a snapshot of what it has yet to read', async (t) => {
  const behind = await opened(t, 'behind');
  const ahead = await opened(t, 'behind');
  const one = entry({ seqs: seqs(1, 5) });
  for (let i = 0; i < 8; i += 1) await ahead.commit([one]);
  await ahead.close();
  for (let i = 0; i < 8; i += 1) await behind.commit([one]);
  await behind.close();
  const again = await opened(t, 'behind');
  t.match(await again.completeness(), [{ records: 5, duplicates: 15 * 5 }], 'no commit is added up twice');
  t.match(await again.totals(), { records: 5, duplicates: 15 * 5 });
  t.match(await again.verify(), { records: 5, problemCount: 0 });
});

await t.test('what is larger than a message', async (t) => {
  const ledger = await opened(t, 'large');
  const one = entry({ seqs: [1] });
  one.envelope.records = one.envelope.records.map((record) => ({
    ...record,
    payload: Buffer.alloc(3_000_000, 1),
  }));
  const holes = entry({ stream: 'holes', gaps: [] });
  // Few enough ranges to be taken, and each of them takes many bytes to write.
  const step = 2 ** 35;
  const count = 99_000;
  holes.envelope.gaps = seqs(1, count).map((i) => {
    const first = step * i;
    return { first, last: first + step / 2 - 1, reason: 'age' };
  });
  const givenUp = (count * step) / 2;
  // Everything below the first one, and between them.
  const missing = step - 1 + ((count - 1) * step) / 2;
  t.match(await ledger.commit([one, holes]), [{ new: 1 }, { gap: givenUp }]);
  const other = structuredClone(one);
  other.envelope.records = one.envelope.records.map((record) => ({
    ...record,
    payload: Buffer.alloc(3_000_000, 2),
  }));
  t.match(await ledger.commit([one, other]), [{ duplicate: 1 }, { conflict: 1 }]);
  for (let i = 0; i < 4; i += 1) await ledger.commit([holes]);
  await ledger.close();
  const again = await opened(t, 'large');
  t.match(await again.completeness(), [{ records: 1, conflicts: 1 }, { missingCount: missing }]);
  const [conflict] = await again.conflicts(1);
  t.equal(conflict?.held.payload[2_999_999], 1);
  t.equal(conflict?.other.payload[2_999_999], 2);
  const letter = { source: 's', reason: 'magic', detail: '', receivedWallMs: 1 };
  await again.deadLetter({ ...letter, bytes: Buffer.alloc(2_500_000, 7) });
  await again.deadLetter({ ...letter, bytes: Buffer.of(1) });
  t.strictSame(
    (await again.deadLetters(5)).map(({ bytes }) => bytes.length),
    [1, 2_500_000],
  );
  t.match(await again.maintenance.deadLetterHeads({ reason: 'magic' }, 5), [
    { sizeBytes: 1 },
    { sizeBytes: 2_500_000 },
  ]);
  t.equal(await again.maintenance.removeDeadLetters({}), 2, 'with all their parts');
  t.strictSame(await again.deadLetters(5), []);
  t.match(await again.totals(), { deadLetters: 2 });
});

await t.test('another bound of the dead letters takes hold with the next one (I10)', async (t) => {
  const letter = { source: 's', reason: 'magic', detail: '', bytes: Buffer.of(1), receivedWallMs: 1 };
  const ledger = await opened(t, 'bound');
  for (let i = 0; i < 4; i += 1) await ledger.deadLetter(letter);
  await ledger.close();
  const options = optionsOf('bound');
  const deadLetters = { messagesMax: 2, bytesMax: 100_000, ageMsMax: 1000 };
  const again = await openJetStreamLedger({ ...options, limits: { ...options.limits, deadLetters } });
  t.teardown(() => again.close());
  await again.deadLetter({ ...letter, reason: 'new' });
  t.match(await again.deadLetters(10), [{ reason: 'new' }, { reason: 'magic' }]);
  t.match(await again.totals(), { deadLetters: 5 });
});

await t.test(
  'a cluster without a majority: commits and ping fail, and come back by themselves',
  async (t) => {
    const ledger = await opened(t, 'lost', 3000);
    await ledger.commit([entry({ seqs: [1, 2] })]);
    await Promise.all([cluster.kill(0), cluster.kill(1)]);
    await t.rejects(ledger.commit([entry({ seqs: [3] })]));
    await t.rejects(ledger.ping());
    await Promise.all([cluster.start(0), cluster.start(1)]);
    // Each stream elects its leader for itself, after the cluster has; the lost commit may have arrived after
    // all, and its record is a duplicate then.
    let result: CommitResult | undefined;
    while (!result) {
      try {
        await ledger.ping();
        [result] = await ledger.commit([entry({ seqs: [2, 3] })]);
      } catch {
        // Not yet.
      }
    }
    t.equal((result?.new ?? 0) + (result?.duplicate ?? 0), 2);
    t.match(await ledger.verify(), { records: 3, problemCount: 0 });
  },
);

await runLedgerContract(t, fileURLToPath(new URL('./jetstream-engine.ts', import.meta.url)));

leaseCases(t, engine);
await t.test('three replicas, killed at random, and the server that leads the log once (I5)', async (t) => {
  const report = await crashRun({
    engine: 'jetstream',
    records: RECORDS,
    replicas: 3,
    seed: 7,
    say: (line) => t.comment(line),
  });
  t.ok(isClean(report), JSON.stringify(report));
});
