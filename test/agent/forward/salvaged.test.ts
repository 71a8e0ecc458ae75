/** A buffer that is damaged and salvaged while the agent runs: each record is delivered or announced (I3). */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import t from 'tap';
import { IntervalSet } from '../../../shared/interval-set.ts';
import { testDir } from '../../test-dir.ts';
import { until } from '../../until.ts';
import { appendAll, bufferFile, contents, noise, texts } from '../store/fixture.ts';
import { agentOn, drained } from './fixture.ts';

/** More than SQLite's page cache and its log hold. */
const RECORDS = 20_000;
const PAGE_BYTES = 4096;

/** Overwrites a part of the pages, as a failing card does. */
function damage(file: string): void {
  const descriptor = openSync(file, 'r+');
  const pages = fstatSync(descriptor).size / PAGE_BYTES;
  const garbage = Buffer.alloc(PAGE_BYTES, 0xa5);
  for (let page = Math.floor(pages / 3); page < pages / 2; page++)
    writeSync(descriptor, garbage, 0, PAGE_BYTES, page * PAGE_BYTES);
  closeSync(descriptor);
}

t.test('rows that a salvage could not read are announced by the running agent', async (t) => {
  const file = bufferFile(testDir(t));
  const down = new Set(['a']);
  const agent = await agentOn(file, { providers: ['a'], down });
  const { store } = agent;
  await appendAll(
    store,
    texts(RECORDS).map((text) => text + noise(1300)),
  );
  const { epoch } = store;
  const reopened = new Promise<void>((resolve) => store.onReopen(resolve));
  damage(file);
  await t.rejects(contents(store, epoch), { name: 'StoreError', code: 'failed' });
  await reopened;
  t.ok(
    store.damage.lostRecords > 0 && store.damage.lostRecords < RECORDS,
    `${store.damage.lostRecords} lost`,
  );
  down.clear();
  await until('nothing waits', () => agent.forwarder.streams().every(({ pending }) => pending === 0));
  await until('the buffer is drained', drained(agent));
  const of = agent.accepted.map(({ envelope }) => envelope).filter((envelope) => envelope.epoch === epoch);
  await until('the end is announced', () =>
    agent.accepted.some(({ envelope }) => envelope.epoch === epoch && envelope.sealedAt === RECORDS),
  );
  const seqs = of.flatMap(({ records }) => records.map(({ seq }) => ({ first: seq, last: seq })));
  const gaps = agent.accepted
    .filter(({ envelope }) => envelope.epoch === epoch)
    .flatMap(({ envelope }) => envelope.gaps);
  t.same(new Set(gaps.map(({ reason }) => reason)), new Set(['corruption']));
  const told = IntervalSet.of(gaps);
  t.equal(told.size, store.damage.lostRecords, 'what was lost is announced, and nothing else');
  t.same([...IntervalSet.of(seqs).union(told).ranges()], [{ first: 1, last: RECORDS }], 'none is missing');
  t.equal(IntervalSet.of(seqs).size + told.size, RECORDS, 'none is both');
  const unreadable = agent.logged.filter(({ event }) => event === 'forward.rows_unreadable');
  t.same(unreadable, [], 'none is read in vain');
  await agent.stop();
});
