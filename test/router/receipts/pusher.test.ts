/** When a cloud is given a receipt to carry, over a real ledger. */

import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { Carriage, Carried, Carrier } from '../../../router/receipts/carrier.ts';
import { type PusherOptions, ReceiptPusher } from '../../../router/receipts/pusher.ts';
import { Receipts } from '../../../router/receipts/receipts.ts';
import { createLogger } from '../../../shared/log.ts';
import { type Receipt, readReceipt } from '../../../shared/receipt.ts';
import { SparseLog } from '../../../shared/sparse-log.ts';
import { deps } from '../../loopback/gcp-support.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { asTimePasses } from '../../until.ts';
import { type EnvelopeSketch, envelope } from '../ledger/envelopes.ts';
import { FORM_WITH_COPY } from './support.ts';

const INTERVAL_MS = 600;
const STEP_MS = 50;
const clock = new ManualClock();

/** A cloud that notes what it is given. */
class Cloud implements Carrier {
  readonly bytesMax = 4096;
  readonly sent: Array<{ receipt: Receipt; atMs: number }> = [];
  tries = 0;
  answer: Carried | 'silence' = { kind: 'sent' };

  async send({ text }: Carriage, signal: AbortSignal): Promise<Carried> {
    this.tries += 1;
    if (this.answer === 'silence') {
      await clock.sleep(60_000, signal);
      return { kind: 'failed', problem: 'stopping' };
    }
    const read = readReceipt(JSON.parse(text).receipt);
    if ('problem' in read) throw new Error(read.problem);
    const { receipt } = read;
    if (this.answer.kind === 'sent') this.sent.push({ receipt, atMs: clock.monoMs() });
    return this.answer;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get told(): Array<[string, number | undefined]> {
    return this.sent.map(({ receipt }) => [receipt.gateway, receipt.streams[0]?.to]);
  }
}

async function fresh(t: Test, clouds: Record<string, Cloud>) {
  const lines: Array<Record<string, unknown>> = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => lines.push(JSON.parse(line)) });
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), ...deps });
  t.teardown(() => ledger.close());
  const receipts = new Receipts({ ledger, clock, intervalMs: 100 });
  const options = {
    intervalMs: INTERVAL_MS,
    receipts,
    form: FORM_WITH_COPY,
    ...deps,
    clock,
    log,
    sparseLog: new SparseLog({ log, clock }),
  };
  const pusher = async (name: string, carrier: Carrier, other: Partial<PusherOptions> = {}) => {
    const made = new ReceiptPusher({ name, carrier, ...options, ...other });
    await made.start();
    t.teardown(() => made.stop());
    return made;
  };
  const pushers = await Promise.all(Object.entries(clouds).map(([name, cloud]) => pusher(name, cloud)));
  const commit = async (sketch: EnvelopeSketch): Promise<void> => {
    const content = envelope(sketch);
    await ledger.commit([{ envelope: content, source: 'aws', receivedWallMs: 1, verified: true }]);
    receipts.committed([content]);
    for (const one of pushers) one.committed([content.gateway]);
  };
  return { commit, pushers, pusher, lines, ledger };
}

t.test(
  'at once, then once in an interval with all that came meanwhile, and nothing that is no news',
  async (t) => {
    const cloud = new Cloud();
    const { commit, pushers } = await fresh(t, { cloud });
    await commit({ seqs: [1] });
    await asTimePasses(clock, STEP_MS, '1 receipts are sent', () => cloud.sent.length === 1);
    for (let seq = 2; seq <= 20; seq++) await commit({ seqs: [seq] });
    t.equal(pushers[0]?.waiting, 1);
    await asTimePasses(clock, STEP_MS, '2 receipts are sent', () => cloud.sent.length === 2);
    t.same(cloud.told, [
      ['gw-1', 1],
      ['gw-1', 20],
    ]);
    const [first, second] = cloud.sent;
    t.ok(second && first && second.atMs - first.atMs >= INTERVAL_MS, 'coalesced (I10)');
    await commit({ seqs: [20] });
    await asTimePasses(clock, STEP_MS, 'one push is unchanged', () => pushers[0]?.counts.unchanged === 1);
    t.same(pushers[0]?.counts, { sent: 2, unchanged: 1, refused: 0, failed: 0, dropped: 0 });
    t.equal(cloud.sent.length, 2);
  },
);

t.test('gateways do not wait for each other', async (t) => {
  const cloud = new Cloud();
  const { commit } = await fresh(t, { cloud });
  for (let i = 1; i <= 40; i++) await commit({ gateway: `gw-${i}`, seqs: [i] });
  await asTimePasses(clock, STEP_MS, '40 receipts are sent', () => cloud.sent.length === 40);
  t.equal(new Set(cloud.told.map(([gateway]) => gateway)).size, 40);
});

t.test('a cloud that fails is tried again, told once, and holds up no other', async (t) => {
  const [broken, silent, good] = [new Cloud(), new Cloud(), new Cloud()];
  broken.answer = { kind: 'failed', problem: 'no such topic' };
  silent.answer = 'silence';
  const { commit, lines, pushers } = await fresh(t, { broken, silent, good });
  await commit({ seqs: [1, 2] });
  await asTimePasses(clock, STEP_MS, 'the good cloud has 1', () => good.sent.length === 1);
  await commit({ seqs: [3] });
  await asTimePasses(clock, STEP_MS, 'the good cloud has 2', () => good.sent.length === 2);
  await asTimePasses(clock, STEP_MS, 'the broken cloud is tried again', () => broken.tries >= 2);
  t.ok(broken.tries < 10, 'more and more slowly');
  broken.answer = { kind: 'sent' };
  await asTimePasses(clock, STEP_MS, 'the broken cloud recovers', () => broken.sent.length === 1);
  t.same(broken.told, [['gw-1', 3]], 'what is true by then');
  await asTimePasses(clock, STEP_MS, 'both lines are logged', () => lines.length === 2);
  t.match(lines, [
    { event: 'receipts.push_failed', downlink: 'broken', problem: 'no such topic' },
    { event: 'receipts.push_works', downlink: 'broken' },
  ]);
  await pushers[1]?.stop();
  t.equal(silent.tries, 1, 'a stop ends a silent push, with the clock stopped');
});

t.test('what is refused for one gateway alone is not tried again without news', async (t) => {
  const cloud = new Cloud();
  cloud.answer = { kind: 'refused', problem: 'no such thing' };
  const { commit, pushers, lines } = await fresh(t, { cloud });
  await commit({ seqs: [1] });
  await asTimePasses(clock, STEP_MS, 'one push is refused', () => pushers[0]?.counts.refused === 1);
  await commit({ seqs: [1] });
  await asTimePasses(clock, STEP_MS, 'one push is unchanged', () => pushers[0]?.counts.unchanged === 1);
  t.equal(cloud.tries, 1);
  t.match(lines, [{ event: 'receipts.push_refused', gateway: 'gw-1' }]);
  await commit({ seqs: [2] });
  await asTimePasses(clock, STEP_MS, 'the cloud is tried again', () => cloud.tries === 2);
});

t.test('a ledger that does not answer is no receipt; it is asked again', async (t) => {
  const cloud = new Cloud();
  const { pusher, ledger } = await fresh(t, {});
  let broken: boolean = true;
  const completeness = async (gateway?: string) => {
    if (broken) throw new Error('the disk is gone');
    return ledger.completeness(gateway);
  };
  const receipts = new Receipts({ ledger: { completeness }, clock, intervalMs: 100 });
  const own = await pusher('cloud', cloud, { receipts });
  own.committed(['gw-1']);
  await asTimePasses(clock, STEP_MS, 'a push fails', () => own.counts.failed >= 1);
  t.equal(cloud.tries, 0);
  broken = false;
  await asTimePasses(clock, STEP_MS, '1 receipts are sent', () => cloud.sent.length === 1);
});

t.test('a second router on the ledger says what is true for both, in a later version', async (t) => {
  const [here, there] = [new Cloud(), new Cloud()];
  const { commit, pusher, ledger } = await fresh(t, { here });
  const receipts = new Receipts({ ledger, clock, intervalMs: 100 });
  const other = await pusher('there', there, { receipts });
  await commit({ seqs: [1, 2] });
  await asTimePasses(clock, STEP_MS, 'the router here pushes', () => here.sent.length === 1);
  await ledger.commit([
    { envelope: envelope({ seqs: [3] }), source: 'gcp', receivedWallMs: 1, verified: true },
  ]);
  other.committed(['gw-1']);
  await asTimePasses(clock, STEP_MS, 'the router there pushes', () => there.sent.length === 1);
  t.same(there.told, [['gw-1', 3]]);
  t.ok((there.sent[0]?.receipt.version ?? 0) > (here.sent[0]?.receipt.version ?? 0));
});
