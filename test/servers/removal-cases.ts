/**
 * Records that leave a ledger on JetStream: from the servers too, under the eyes of other replicas, and once.
 */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { Test } from 'tap';
import { decodeArrival } from '../../router/ledger/jetstream/arrival-format.ts';
import type { Ledger } from '../../router/ledger/ledger.ts';
import { retentionRules } from '../../router/ledger/options.ts';
import { ENVELOPE_BYTES, type RetentionRules, storedBytes } from '../../router/ledger/rules/retention.ts';
import type { LedgerEntry, LedgerRecord } from '../../router/ledger/types.ts';
import { seededEntropy } from '../../shared/entropy.ts';
import { entry, seqs } from '../router/ledger/envelopes.ts';

const HOUR_MS = 3_600_000;
const COMMITS = 50;

export interface RemovalSetup {
  opened: (t: Test, place: string) => Promise<Ledger>;
  servers: readonly string[];
}

/** In these envelopes a record is of `device-<seq modulo 3>`. */
export async function removalCases(t: Test, { opened, servers }: RemovalSetup): Promise<void> {
  await t.test('what was erased is on no server; replicas read what stays, at its old offset', async (t) => {
    const [one, other] = [await opened(t, 'erased'), await opened(t, 'erased')];
    for (let i = 0; i < COMMITS; i += 1) await one.commit([large(seqs(10 * i + 1, 10 * i + 10))]);
    const before = await other.read(0, 1000);
    const kept = before.filter(({ device }) => device !== 'device-1');
    t.equal(before.length, 10 * COMMITS);
    let isErasing = true;
    const erasing = one.maintenance.erase({ device: 'device-1', gateway: null }, 'ann').finally(() => {
      isErasing = false;
    });
    while (isErasing) {
      const during = (await other.read(0, 1000)).filter(({ device }) => device !== 'device-1');
      t.strictSame(during, kept, 'nothing else is missing for a moment');
      t.match(await other.verify(), { problemCount: 0 });
    }
    t.match(await erasing, { records: before.length - kept.length });
    t.strictSame(await other.read(0, 1000), kept);
    t.strictSame(await one.read(0, 1000), kept);
    t.match(await other.verify(), { records: kept.length, problemCount: 0 });
    t.strictSame(await devicesOn(servers, 'erased'), ['device-0', 'device-2']);
    t.match(await other.commit([large([1, 2], 'gcp')]), [
      { duplicate: 2, conflict: 0, causes: { unknown: 1, 'other-source': 1 } },
    ]);
    t.match(await other.commit([entry({ seqs: [2, 3], text: 'y' }, 'gcp')]), [{ conflict: 2 }]);
  });

  await t.test(
    'of two replicas that let the same records go, each lets go what the other has not',
    async (t) => {
      const ledgers = [await opened(t, 'retained'), await opened(t, 'retained')];
      const [first] = ledgers;
      const nowMs = 1000 * HOUR_MS;
      for (let i = 0; i < 30; i += 1)
        await first?.commit([
          entry(
            { gateway: `gw-${i % 3}`, seqs: seqs(100 * i + 1, 100 * i + 100) },
            'aws',
            nowMs - 50 * HOUR_MS,
          ),
        ]);
      await first?.commit([entry({ seqs: [5000] }, 'aws', nowMs)]);
      const rules = retentionRules.parse([{ streams: '*', max_age: '10h' }]);
      const left = await Promise.all(
        ledgers.map(({ maintenance }) => retainedAll(maintenance, rules, nowMs)),
      );
      t.equal(
        left.reduce((sum, records) => sum + records),
        3000,
      );
      for (const ledger of ledgers) {
        t.match(await ledger.read(0, 10), [{ seq: 5000, offset: 3001 }]);
        t.match(await ledger.verify(), { records: 1, problemCount: 0 });
      }
      t.strictSame(await devicesOn(servers, 'retained'), ['device-2'], 'of the one that stays');
    },
  );

  await t.test('two replicas beyond max_bytes agree on what each gateway still holds', async (t) => {
    const ledgers = [await opened(t, 'shrunk'), await opened(t, 'shrunk')];
    const [first] = ledgers;
    const nowMs = 1000 * HOUR_MS;
    for (let i = 0; i < 40; i += 1) {
      const gateway = i % 4 === 0 ? 'quiet' : 'flood';
      const one = large(seqs(100 * i + 1, 100 * i + 100), 'aws', gateway);
      await first?.commit([{ ...one, receivedWallMs: nowMs - (50 - i) * HOUR_MS }]);
    }
    const size = storedBytes(large(seqs(3901, 4000)).envelope.records);
    const rules = retentionRules.parse([{ streams: '*', max_bytes: `${20 * size}B` }]);
    const left = await Promise.all(ledgers.map(({ maintenance }) => retainedAll(maintenance, rules, nowMs)));
    t.equal(
      left.reduce((sum, records) => sum + records),
      2000,
    );
    for (const ledger of ledgers) {
      const held = await ledger.read(0, 10_000);
      t.equal(held.filter(({ gateway }) => gateway === 'quiet').length, 1000, 'all of it');
      t.equal(held.length, 2000);
      await retainedAll(ledger.maintenance, rules, nowMs);
      const { total = 0 } = (await ledger.maintenance.storedBytes(9)) ?? {};
      t.equal(total, storedOf(held));
    }
  });
}

/** Of records that do not shrink, so that few of them stay in a replica's memory. */
function large(ids: number[], source = 'aws', gateway = 'gw-1'): LedgerEntry {
  const one = entry({ seqs: ids, gateway }, source);
  one.envelope.records = one.envelope.records.map((record) => ({
    ...record,
    payload: Buffer.from(seededEntropy(record.seq).bytes(200)),
  }));
  return one;
}

/** Steps to the end; how many records left. */
async function retainedAll(
  maintenance: Ledger['maintenance'],
  rules: RetentionRules,
  nowMs: number,
): Promise<number> {
  let records = 0;
  for (let more = true; more; ) {
    const step = await maintenance.retain(rules, nowMs);
    records += step.records;
    more = step.more;
  }
  return records;
}

/** The bytes of records of envelopes of a hundred. */
function storedOf(held: readonly LedgerRecord[]): number {
  const envelopes = Math.ceil(held.length / 100);
  return storedBytes(held) + (envelopes - 1) * ENVELOPE_BYTES;
}

/** Of all arrivals that the servers hold. */
async function devicesOn(servers: readonly string[], name: string): Promise<string[]> {
  const nc = await connect({ servers: [...servers] });
  try {
    const jsm = await jetstreamManager(nc);
    const { state } = await jsm.streams.info(`${name}-records`);
    const devices = new Set<string>();
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      const message = await jsm.streams.getMessage(`${name}-records`, { seq });
      if (!message?.subject.startsWith(`${name}.records.`)) continue;
      // The stream's identity is no record.
      if (message.subject === `${name}.records.identity`) continue;
      for (const { device } of decodeArrival(message.data).records) devices.add(device);
    }
    return [...devices].sort();
  } finally {
    await nc.close();
  }
}
