import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { DecodeMeter } from '../../../router/ingest/decode-meter.ts';
import { DecodePool } from '../../../router/ingest/decode-pool.ts';
import { InlineDecoder } from '../../../router/ingest/decoder.ts';
import { LedgerGate } from '../../../router/ingest/gate.ts';
import type { IngestLimits } from '../../../router/ingest/group.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { noRepeats } from '../../../router/ledger/rules/repeat-cause.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { Delivery } from '../../../router/sources/source.ts';
import { type Clock, systemClock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { ENVELOPE_LIMITS, type EnvelopeLimits, FORMAT_LIMITS } from '../../../shared/envelope/limits.ts';
import { createLogger } from '../../../shared/log.ts';
import { stopAll } from '../../../shared/service.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { type EnvelopeSketch, envelope, gap, seqs } from '../ledger/envelopes.ts';

async function fresh(
  t: Test,
  limits: Partial<IngestLimits> = {},
  clock: Clock = systemClock,
  envelopes: EnvelopeLimits = ENVELOPE_LIMITS,
  onEach: () => void = () => undefined,
) {
  const file = join(testDir(t), 'ledger.db');
  const lines: string[] = [];
  const log = createLogger({ level: 'info', levels: {} }, { write: (line) => void lines.push(line) });
  const ledger = await openSqliteLedger({ file, clock: systemClock, log });
  t.teardown(() => ledger.close());
  let commits = 0;
  const onCommit = (): void => {
    commits += 1;
    onEach();
  };
  const gate = new LedgerGate({ ledger, clock, entropy: seededEntropy(1), log });
  t.teardown(() => gate.stop());
  const decoder = new InlineDecoder({ clock, limits: envelopes });
  const ingest = new Ingest({ ledger, clock, log, limits, decoder, onCommit, gate });
  const shell = (sql: string): void => {
    const db = new Database(file);
    db.exec(sql);
    db.close();
  };
  return { ingest, ledger, gate, lines, shell, commits: () => commits };
}

function delivery(sketch: EnvelopeSketch, rest: Partial<Delivery> = {}): Delivery {
  const bytes = encodeEnvelope(envelope(sketch));
  return { source: 'aws', bytes, authenticatedGateway: null, deliveryCount: null, ...rest };
}

/** The engine refuses this seq from now on. */
const REFUSE_13 = `CREATE TRIGGER refuse BEFORE INSERT ON record WHEN new.seq = 13
                   BEGIN SELECT RAISE(ABORT, 'refused'); END`;

t.test('a message is settled only after its records are committed (I5)', async (t) => {
  const { ingest, ledger } = await fresh(t);
  const settlement = ingest.handler(delivery({ seqs: [1, 2] }));
  t.strictSame(await ledger.read(0, 10), [], 'not yet');
  t.equal(await settlement, 'settle');
  t.match(await ledger.read(0, 10), [{ seq: 1, source: 'aws' }, { seq: 2 }]);
});

t.test('what arrives together is committed together, in groups of a bounded size', async (t) => {
  const messages = seqs(1, 40).map((seq) => delivery({ seqs: [seq] }));
  const one = await fresh(t);
  const settlements = await Promise.all(messages.map(one.ingest.handler));
  t.ok(settlements.every((settlement) => settlement === 'settle'));
  t.equal(one.commits(), 1);
  t.match(await one.ledger.completeness(), [{ completeTo: 40 }]);
  const four = await fresh(t, { groupEnvelopesMax: 10 });
  await Promise.all(messages.map(four.ingest.handler));
  t.equal(four.commits(), 4, 'by envelopes');
  const bytes = await fresh(t, { groupBytesMax: 2000 });
  await Promise.all(messages.map(bytes.ingest.handler));
  t.ok(bytes.commits() >= 8 && bytes.commits() <= 20, `by bytes: ${bytes.commits()} commits`);
});

t.test('a gateway whose commits take long rests while another one is about', async (t) => {
  const clock = new ManualClock();
  let tookMs = 0;
  const { ingest, commits } = await fresh(t, {}, clock, ENVELOPE_LIMITS, () => clock.advance(tookMs));
  const send = (gateway: string, seq: number): Promise<string> =>
    ingest.handler(delivery({ gateway, seqs: [seq] }));
  await send('small', 1);
  tookMs = 100;
  await send('big', 1);
  tookMs = 0;
  const settled: string[] = [];
  const both = ['big', 'small'].map((gateway) => send(gateway, 2).then(() => settled.push(gateway)));
  await both[1];
  t.strictSame(settled, ['small']);
  t.equal(commits(), 3);
  clock.advance(150);
  await Promise.all(both);
  t.strictSame(settled, ['small', 'big']);
});

t.test(
  'envelopes of one stream are committed in the order in which they came, in a thread or not',
  async (t) => {
    const clock = systemClock;
    const log = createLogger({ level: 'silent', levels: {} });
    const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
    const decoder = new DecodePool({ clock, log, meter: new DecodeMeter() });
    t.teardown(() => stopAll([() => decoder.stop(), () => ledger.close()]));
    await decoder.start();
    const ingest = new Ingest({ ledger, clock, log, decoder });
    const from = { authenticatedGateway: 'gw-1' };
    const messages = [
      delivery({ seqs: seqs(1001, 2500) }, from),
      delivery({ seqs: [1] }, from),
      delivery({ gateway: 'gw-2', seqs: [7] }, { authenticatedGateway: 'gw-2' }),
      delivery({ seqs: [2] }, from),
    ];
    const settling = Promise.all(messages.map(ingest.handler));
    t.strictSame(new Set(await settling), new Set(['settle']));
    const read = await ledger.read(0, 2000);
    const first = (seq: number): number => read.findIndex((record) => record.seq === seq);
    t.equal(first(7), 0, 'another gateway goes on');
    t.ok(first(2500) < first(1), 'the large one before what came behind it');
    t.ok(first(1) < first(2));
    await ingest.drain();
  },
);

t.test('bytes that are no envelope become dead letters, and are settled', async (t) => {
  const { ingest, ledger, lines } = await fresh(t);
  const whole = delivery({ seqs: [1] });
  const flipped = Buffer.from(whole.bytes);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  t.equal(await ingest.handler({ ...whole, bytes: Buffer.from('hello, world') }), 'settle');
  t.equal(await ingest.handler({ ...whole, bytes: flipped }), 'settle');
  t.equal(await ingest.handler({ ...whole, bytes: Buffer.of() }), 'settle');
  t.match(await ledger.deadLetters(10), [
    { reason: 'truncated', source: 'aws' },
    { reason: 'checksum', bytes: flipped },
    { reason: 'magic', bytes: Buffer.from('hello, world') },
  ]);
  t.match(ingest.counters().get('aws'), {
    deadLetters: 3,
    deadLetterReasons: { truncated: 1, checksum: 1, magic: 1 },
    envelopes: 0,
  });
  t.equal(lines.length, 1, 'a flood of them is one line a second');
  t.match(JSON.parse(lines[0] ?? ''), { event: 'ingest.dead_letter', source: 'aws', reason: 'magic' });
});

t.test('an envelope of another gateway than the authenticated one is a dead letter', async (t) => {
  const { ingest, ledger } = await fresh(t);
  t.equal(await ingest.handler(delivery({ seqs: [1] }, { authenticatedGateway: 'gw-2' })), 'settle');
  t.strictSame(await ledger.completeness(), []);
  t.match(await ledger.deadLetters(10), [
    { reason: 'foreign-gateway', detail: 'gw-2 sent an envelope of gw-1' },
  ]);
  t.equal(await ingest.handler(delivery({ seqs: [1] }, { authenticatedGateway: 'gw-1' })), 'settle');
  t.match(await ledger.completeness(), [{ gateway: 'gw-1', records: 1 }]);
});

t.test('an envelope with U+0000 in a text is a dead letter: not every engine could store it', async (t) => {
  const { ingest, ledger } = await fresh(t);
  t.equal(await ingest.handler(delivery({ seqs: [1], topic: 'a\0b' })), 'settle');
  t.match(await ledger.deadLetters(10), [{ reason: 'nul' }]);
  t.strictSame(await ledger.completeness(), []);
});

t.test('a ledger that cannot commit leaves messages with the provider', async (t) => {
  let nowMs = 0;
  const leaping = { ...systemClock, monoMs: () => (nowMs += 10_000) };
  const { ingest, ledger, gate, lines } = await fresh(t, {}, leaping);
  await ledger.close();
  const settlements = await Promise.all([
    ingest.handler(delivery({ seqs: [1] })),
    ingest.handler(delivery({ seqs: [2] })),
    ingest.handler({ ...delivery({}), bytes: Buffer.from('hello, world') }),
  ]);
  t.strictSame(settlements, ['retry', 'retry', 'retry']);
  t.match(ingest.counters().get('aws'), { retries: 3, envelopes: 0, deadLetters: 0 });
  t.equal(gate.isOpen, false, 'sources receive nothing more');
  t.match(
    lines.map((line) => JSON.parse(line)).filter(({ event }) => event !== 'intake.paused'),
    [
      { event: 'ingest.commit_failed', envelopes: 2, error: /not open/ },
      { event: 'ingest.dead_letter_failed', error: /not open/ },
    ],
  );
});

t.test('a message that the engine refuses fails alone and holds up no other', async (t) => {
  const { ingest, ledger, gate, shell } = await fresh(t);
  shell(REFUSE_13);
  const messages = seqs(1, 20).map((seq) => delivery({ seqs: [seq] }));
  const settlements = await Promise.all(messages.map(ingest.handler));
  t.strictSame(
    settlements,
    seqs(1, 20).map((seq) => (seq === 13 ? 'later' : 'settle')),
  );
  t.match(await ledger.completeness(), [{ missing: [{ first: 13, last: 13 }], records: 19 }]);
  shell('DROP TRIGGER refuse');
  t.ok(gate.isOpen, 'one message is no reason to receive no other');
  t.equal(await ingest.handler(delivery({ seqs: [13] })), 'settle');
});

t.test('what the ledger will never take is a dead letter, and its neighbours are committed', async (t) => {
  const { ingest, ledger } = await fresh(t, {}, systemClock, FORMAT_LIMITS);
  const comb = (first: number) =>
    delivery({ gaps: seqs(first, first + 39_999).map((i) => gap(2 * i, 2 * i)) }, { source: 'gcp' });
  const tooMuch = comb(80_001);
  const messages = [delivery({ seqs: [1] }), comb(1), comb(40_001), tooMuch, delivery({ seqs: [3] })];
  const settlements = await Promise.all(messages.map(ingest.handler));
  t.strictSame(new Set(settlements), new Set(['settle']));
  t.match(ingest.counters().get('gcp'), { envelopes: 2, deadLetterReasons: { limit: 1 } });
  t.match(await ledger.deadLetters(10), [{ reason: 'limit', bytes: tooMuch.bytes }]);
  t.match(await ledger.completeness(), [{ records: 2, highest: 160_000 }]);
});

t.test(
  'a dead letter has what the provider said, and a message that is too large is one (I10)',
  async (t) => {
    const { ingest, ledger } = await fresh(t);
    const bytes = Buffer.alloc(17 * 1024 * 1024);
    const properties = () => ({ topic: 'a/b/c' });
    t.equal(
      await ingest.handler({ ...delivery({}), bytes, properties, authenticatedGateway: 'gw-9' }),
      'settle',
    );
    t.match(await ledger.deadLetters(10), [
      { reason: 'limit', authenticatedGateway: 'gw-9', properties: { topic: 'a/b/c' } },
    ]);
  },
);

t.test('duplicates are counted by source and cause', async (t) => {
  const { ingest } = await fresh(t);
  await ingest.handler(delivery({ seqs: seqs(1, 10) }));
  await ingest.handler(delivery({ seqs: seqs(1, 10) }, { deliveryCount: 2 }));
  await ingest.handler(delivery({ seqs: [1, 2, 3] }, { deliveryCount: 1 }));
  await ingest.handler(delivery({ seqs: [9, 10, 11] }, { source: 'azure', deliveryCount: 1 }));
  await ingest.handler(delivery({ seqs: [9] }, { source: 'azure', sentAs: 'hedge' }));
  await ingest.handler(
    delivery({ seqs: [1], text: 'forged', gaps: [{ first: 12, last: 13, reason: 'age' }] }),
  );
  t.strictSame(Object.fromEntries(ingest.counters()), {
    aws: {
      envelopes: 4,
      records: 10,
      duplicates: 13,
      duplicateCauses: { ...noRepeats(), redelivery: 10, 'same-source': 3 },
      conflicts: 1,
      gaps: 2,
      sealed: 0,
      unverified: { unsigned: 0, 'unknown-key': 0 },
      deadLetters: 0,
      deadLetterReasons: {},
      retries: 0,
    },
    azure: {
      envelopes: 2,
      records: 1,
      duplicates: 3,
      duplicateCauses: { ...noRepeats(), hedge: 1, 'other-source': 2 },
      conflicts: 0,
      gaps: 0,
      sealed: 0,
      unverified: { unsigned: 0, 'unknown-key': 0 },
      deadLetters: 0,
      deadLetterReasons: {},
      retries: 0,
    },
  });
});

t.test('more than may wait is left for redelivery (I10), and drain waits for the rest', async (t) => {
  const { ingest, ledger, lines } = await fresh(t, { pendingBytesMax: 1000 });
  const settlements = seqs(1, 10).map((seq) => ingest.handler(delivery({ seqs: [seq] })));
  await ingest.drain();
  const records = (await ledger.read(0, 100)).length;
  const settled = (await Promise.all(settlements)).filter((settlement) => settlement === 'settle').length;
  t.ok(settled >= 2 && settled < 10, `${settled} of 10 settled`);
  t.equal(records, settled);
  t.match(lines[0], /ingest.overloaded/);
  t.equal(await ingest.handler(delivery({ seqs: [10] })), 'settle', 'there is room again');
  await ingest.drain();
});

t.test('no bytes make it reject', async (t) => {
  const { ingest, ledger } = await fresh(t);
  const entropy = seededEntropy(11);
  const whole = Buffer.from(delivery({ seqs: seqs(1, 20) }).bytes);
  const settlements = seqs(1, 300).map((i) => {
    const bytes = Buffer.from(
      i % 3 === 0 ? entropy.bytes(60) : whole.subarray(0, 8 + Math.floor(entropy.float() * whole.length)),
    );
    for (let flips = 0; flips < i % 4; flips += 1)
      bytes[Math.floor(entropy.float() * bytes.length)] = i & 255;
    return ingest.handler({ source: 'gcp', bytes, authenticatedGateway: null, deliveryCount: null });
  });
  t.ok((await Promise.all(settlements)).every((settlement) => settlement === 'settle'));
  const { deadLetters, records } = await ledger.totals();
  t.ok(deadLetters > 200 && records <= 20, `${deadLetters} dead letters, ${records} records`);
});

/** Each reading is so much later, as beside a slow disk; otherwise it stands still. */
class SlowClock extends ManualClock {
  stepMs = 0;

  override monoMs(): number {
    this.advance(this.stepMs);
    return super.monoMs();
  }
}

t.test('a stop waits for no gateway’s rest', async (t) => {
  const clock = new SlowClock();
  const { ingest, ledger } = await fresh(t, {}, clock);
  const big = (epoch: string) => ingest.handler(delivery({ gateway: 'gw-1', epoch, seqs: seqs(1, 50) }));
  clock.stepMs = 500;
  await Promise.all([big('1-0000000a'), ingest.handler(delivery({ gateway: 'gw-2', seqs: [1] }))]);
  // The commit ends after its messages have settled.
  await nextTurn();
  clock.stepMs = 0;
  const waiting = big('2-0000000b');
  await ingest.drain();
  t.equal(await waiting, 'settle');
  t.equal((await ledger.read(0, 200)).length, 101);
});
