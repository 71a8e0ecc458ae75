/** The fate of a gateway's messages over its quotas, by the proof of its name; with a real ledger. */
import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { retryDeadLetters } from '../../../router/ingest/dead-letter-retry.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { Signatures } from '../../../router/ingest/signatures.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { quotaOptions } from '../../../router/quotas/options.ts';
import { Quotas } from '../../../router/quotas/quotas.ts';
import type { Delivery } from '../../../router/sources/source.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { ManualClock } from '../../manual-clock.ts';
import { testDir } from '../../test-dir.ts';
import { type EnvelopeSketch, envelope, seqs } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });
const key = newPrivateKey(seededEntropy(1));

async function fresh(t: Test, options: Record<string, unknown>) {
  const clock = new ManualClock(1_700_000_000_000);
  const ledger = await openSqliteLedger({ file: join(testDir(t), 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const accept = new Map([['s', 'any' as const]]);
  const keys = { isRead: true, acceptOf: () => null, signingKey: () => createPublicKey(key) };
  const signatures = new Signatures({ accept, keys });
  const quotas = new Quotas(quotaOptions.parse(options), { clock, log });
  const ingest = new Ingest({ ledger, clock, log, signatures, quotas });
  const send = (sketch: EnvelopeSketch, proof: Proof, rest: Partial<Delivery> = {}) => {
    const sent = envelope(sketch);
    const signer = proof === 'signature' ? envelopeSigner(signerOf(key)) : undefined;
    const authenticatedGateway = proof === 'login' ? sent.gateway : null;
    const bytes = encodeEnvelope(sent, signer);
    return ingest.handler({ source: 's', bytes, authenticatedGateway, deliveryCount: null, ...rest });
  };
  return { clock, ledger, quotas, ingest, signatures, send };
}

type Proof = 'login' | 'signature' | 'none';

for (const proof of ['login', 'signature', 'none'] as const) {
  t.test(`over its rate a gateway waits, or is kept aside; others go on (proof: ${proof})`, async (t) => {
    const { clock, ledger, quotas, ingest, signatures, send } = await fresh(t, { envelopes_per_second: 1 });
    const waits: number[] = [];
    const mayWait = (ms: number) => waits.push(ms) > 0;
    const flood = await Promise.all(seqs(1, 14).map((seq) => send({ seqs: [seq] }, proof, { mayWait })));
    t.strictSame(flood, [...Array(10).fill('settle'), ...Array(4).fill('later')]);
    t.ok(waits.every((ms) => ms > 0 && ms <= 1000));
    t.equal(await send({ gateway: 'gw-2', seqs: [1] }, proof), 'settle', 'another gateway');
    t.equal((await ledger.deadLetters(9)).length, 0);
    t.equal(await send({ seqs: [14] }, proof), 'settle', 'where no message can wait');
    t.equal(await send({ seqs: [13] }, proof, { mayWait: () => false }), 'settle');
    t.match(await ledger.deadLetters(9), [
      { reason: 'quota', detail: /gw-1 .* envelopes/ },
      { reason: 'quota' },
    ]);
    t.match(ingest.counters().get('s'), { retries: 4, deadLetters: 2, deadLetterReasons: { quota: 2 } });
    t.match(quotas.over(9), [
      { gateway: 'gw-1', isProven: proof !== 'none', outcomes: { waits: 4, 'dead-letter': 2 } },
    ]);
    clock.advance(2000);
    const again = await Promise.all(seqs(11, 14).map((seq) => send({ seqs: [seq] }, proof, { mayWait })));
    t.strictSame(again, ['settle', 'settle', 'later', 'later']);
    const deps = { clock, log, signatures };
    for await (const one of retryDeadLetters(ledger, ledger.maintenance, { reason: 'quota' }, deps))
      t.match(one, { outcome: 'committed' });
    t.match(await ledger.completeness('gw-1'), [{ completeTo: 14, missing: [] }], 'nothing is lost');
  });
}

t.test('a name that is only claimed uses up nothing of the gateway that proves itself', async (t) => {
  const { send, ledger } = await fresh(t, { envelopes_per_second: 1, new_streams_per_day: 2 });
  for (const seq of seqs(1, 12)) await send({ seqs: [seq], epoch: `${seq}-ff` }, 'none');
  t.equal((await ledger.deadLetters(20)).length, 10);
  for (const seq of seqs(1, 9)) t.equal(await send({ seqs: [seq] }, 'signature'), 'settle');
  t.match(await ledger.deadLetters(20), Array(10).fill({ detail: /streams|envelopes/ }), 'no more');
  t.match(await ledger.completeness('gw-1'), [{}, {}, { epoch: '1-aa', completeTo: 9 }]);
});

t.test('each new stream is counted, and a known one goes on', async (t) => {
  const { send, ledger } = await fresh(t, { new_streams_per_day: 2 });
  for (const epoch of ['1-aa', '2-aa', '3-aa']) await send({ epoch, seqs: [1] }, 'login');
  await send({ epoch: '1-aa', seqs: [2] }, 'login');
  t.match(await ledger.deadLetters(9), [{ reason: 'quota', detail: /streams/ }]);
  t.match(await ledger.completeness('gw-1'), [{ epoch: '1-aa', completeTo: 2 }, { epoch: '2-aa' }]);
});

t.test('stored bytes of a day count names and overhead, unpacked; the rest waits', async (t) => {
  const { send, clock, ledger } = await fresh(t, { stored_bytes_per_day: '1800B' });
  const mayWait = () => true;
  // Payloads of 10 bytes; with names and overhead ten records are 930.
  const ten = (first: number) =>
    send({ seqs: seqs(first, first + 9), text: 'x'.repeat(10) }, 'login', { mayWait });
  t.strictSame(
    [await ten(1), await ten(11), await ten(21), await ten(31)],
    ['settle', 'settle', 'later', 'later'],
  );
  t.equal(await send({ gateway: 'gw-2', seqs: [1] }, 'login', { mayWait }), 'settle', 'another gateway');
  clock.advance(86_400_000);
  t.equal(await ten(21), 'settle');
  t.equal((await ledger.deadLetters(9)).length, 0);
});

t.test('ranges beyond the quota are kept with their reason, and are said', async (t) => {
  const { send, ledger, quotas, clock, signatures } = await fresh(t, { ranges_per_stream: 4 });
  // Without a signature each range counts twice: as seen, and as unverified.
  for (const seq of [1, 3, 5, 4]) t.equal(await send({ seqs: [seq] }, 'login'), 'settle');
  t.match(await ledger.deadLetters(9), [{ reason: 'quota', detail: /6 ranges in stream telemetry of gw-1/ }]);
  t.match(quotas.over(9), [{ gateway: 'gw-1', quota: 'ranges', outcomes: { 'dead-letter': 1 } }]);
  t.equal(await send({ seqs: [2] }, 'login'), 'settle');
  for await (const one of retryDeadLetters(ledger, ledger.maintenance, {}, { clock, log, signatures }))
    t.match(one, { outcome: 'committed' });
  t.match(await ledger.completeness('gw-1'), [{ completeTo: 5 }], 'nothing is lost');
});
