/** The signer of a message, by the policy of its source; with a real ledger, and a real file of keys. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { GatewayKeys } from '../../../router/gateways/gateway-keys.ts';
import { retryDeadLetters } from '../../../router/ingest/dead-letter-retry.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { Signatures } from '../../../router/ingest/signatures.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import type { Accept } from '../../../router/sources/accept.ts';
import type { Delivery } from '../../../router/sources/source.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { writeSignedFrame } from '../../../shared/envelope/frame.ts';
import { createLogger } from '../../../shared/log.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';
import { testDir } from '../../test-dir.ts';
import { type EnvelopeSketch, envelope } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });
const [first, second, foreign] = [1, 2, 3].map((seed) => newPrivateKey(seededEntropy(seed)));
if (!first || !second || !foreign) throw new Error('three keys');

function signed(key: KeyObject, sketch: EnvelopeSketch): Buffer {
  return Buffer.from(encodeEnvelope(envelope(sketch), envelopeSigner(signerOf(key))));
}

async function fresh(t: Test, accept: Accept, jumpMax = 1000) {
  const dir = testDir(t);
  const file = join(dir, 'gateways.yaml');
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const keys = new GatewayKeys(file, { clock, log });
  const signatures = new Signatures({ accept: new Map([['aws', accept]]), keys });
  const ingest = new Ingest({ ledger, clock, log, signatures, jumpMax });
  let written = 0;
  const register = async (
    gateways: Readonly<Record<string, readonly KeyObject[]>>,
    own: { accept?: Accept } = {},
  ): Promise<void> => {
    const pem = (key: KeyObject) => createPublicKey(key).export({ type: 'spki', format: 'pem' });
    const content = Object.entries(gateways).map(([name, keys]) => [
      name,
      { ...own, public_keys: keys.map(pem) },
    ]);
    writeFileSync(file, stringify({ gateways: Object.fromEntries(content) }));
    written += 1;
    utimesSync(file, written, written);
    await keys.read();
  };
  const send = (bytes: Uint8Array, rest: Partial<Delivery> = {}) =>
    ingest.handler({ source: 'aws', bytes, authenticatedGateway: null, deliveryCount: null, ...rest });
  const retry = async (as?: string, bound = jumpMax): Promise<string[]> => {
    const outcomes: string[] = [];
    const vouched = new Signatures({ accept: new Map([['aws', 'any']]), keys });
    const deps = { clock, log, as, signatures: as === undefined ? signatures : vouched, jumpMax: bound };
    for await (const { outcome, reason } of retryDeadLetters(ledger, ledger.maintenance, {}, deps))
      outcomes.push(`${outcome} ${reason ?? ''}`.trim());
    return outcomes;
  };
  const reasons = async () => (await ledger.deadLetters(20)).map(({ reason }) => reason).toReversed();
  return { ledger, ingest, signatures, register, send, retry, reasons };
}

t.test('a source that accepts signed takes what the gateway’s keys signed, and nothing else', async (t) => {
  const { ledger, register, send, reasons } = await fresh(t, 'signed');
  await register({ 'gw-1': [first, second], 'gw-2': [foreign] });
  t.equal(await send(signed(first, { seqs: [1] })), 'settle');
  t.equal(await send(signed(second, { seqs: [2] })), 'settle', 'a key for each rotation');
  t.match(await ledger.completeness(), [{ gateway: 'gw-1', records: 2 }]);
  const genuine = signed(first, { seqs: [3] });
  const forged = Buffer.from(genuine);
  forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
  const stripped = encodeEnvelope(envelope({ seqs: [3] }));
  const downgraded = Buffer.from(genuine);
  downgraded[2] = 1;
  const attacks: Array<[string, Uint8Array]> = [
    ['signature', forged],
    ['unsigned', stripped],
    ['unknown-key', signed(foreign, { seqs: [3] })],
    ['unknown-key', signed(first, { gateway: 'gw-2', seqs: [3] })],
    ['unknown-key', signed(newPrivateKey(seededEntropy(9)), { seqs: [3], gaps: [] })],
    ['checksum', downgraded],
  ];
  for (const [, bytes] of attacks) t.equal(await send(bytes), 'settle');
  t.same(
    await reasons(),
    attacks.map(([reason]) => reason),
  );
  t.match(await ledger.totals(), { records: 2 });
  t.equal(await send(signed(first, { seqs: [1] })), 'settle');
  t.match(await ledger.totals(), { records: 2, duplicates: 1 }, 'a replay is a duplicate');
});

t.test('a letter of an unknown key is taken after the key was registered', async (t) => {
  const { ledger, register, send, retry } = await fresh(t, 'signed');
  await register({ 'gw-1': [first] });
  await send(signed(second, { seqs: [1] }));
  await send(encodeEnvelope(envelope({ seqs: [2] })));
  t.same(await retry(), ['refused unknown-key', 'refused unsigned']);
  await register({ 'gw-1': [first, second] });
  t.same(await retry(), ['committed', 'refused unsigned']);
  t.same(await retry('gw-1'), ['committed'], 'an operator answers for the sender of an unsigned letter');
  t.match(await ledger.completeness(), [{ gateway: 'gw-1', records: 2 }]);
});

t.test('a source that accepts any counts what is not verified, and refuses a wrong signature', async (t) => {
  const { ledger, ingest, register, send, reasons } = await fresh(t, 'any');
  await register({ 'gw-1': [first] });
  await send(encodeEnvelope(envelope({ seqs: [1] })));
  await send(signed(second, { seqs: [2] }));
  await send(signed(first, { seqs: [3] }));
  t.match(await ledger.completeness(), [{ gateway: 'gw-1', records: 3 }]);
  t.match(ingest.counters().get('aws'), { unverified: { unsigned: 1, 'unknown-key': 1 } });
  const forged = signed(first, { seqs: [4] });
  forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 1, forged.length - 1);
  await send(forged);
  t.same(await reasons(), ['signature']);
});

t.test('until the keys were read once, signed messages stay with the provider', async (t) => {
  const { ledger, register, send } = await fresh(t, 'signed');
  t.equal(await send(signed(first, { seqs: [1] })), 'later');
  await register({ 'gw-1': [first] });
  t.equal(await send(signed(first, { seqs: [1] })), 'settle');
  t.match(await ledger.totals(), { records: 1, deadLetters: 0 });
});

t.test('nothing is unpacked before the signature is verified', async (t) => {
  const { register, send, reasons } = await fresh(t, 'signed');
  await register({ 'gw-1': [first] });
  const key = { gateway: 'gw-1', epoch: '1-aa', stream: 's' };
  const noise = seededEntropy(4).bytes(100);
  // No zstd frame, behind a right checksum.
  await send(writeSignedFrame(noise, true, { key, range: null }, envelopeSigner(signerOf(second))));
  t.same(await reasons(), ['unknown-key']);
});

t.test(
  'a jump or gap beyond the bound without a signature is a dead letter until somebody decides',
  async (t) => {
    const { ledger, ingest, register, send, retry, reasons } = await fresh(t, 'any');
    await register({ 'gw-1': [first] });
    await send(encodeEnvelope(envelope({ seqs: [1] })));
    const far = encodeEnvelope(envelope({ seqs: [1002] }));
    const wide = encodeEnvelope(envelope({ gaps: [{ first: 2, last: 5000, reason: 'quota' }] }));
    t.same(await Promise.all([send(far), send(wide)]), ['settle', 'settle']);
    t.same(await reasons(), ['implausible', 'implausible']);
    t.match(ingest.counters().get('aws'), { envelopes: 1, deadLetterReasons: { implausible: 2 } });
    t.match(await ledger.completeness(), [{ highest: 1, gaps: [], records: 1 }]);
    t.same(await retry(), ['refused implausible', 'refused implausible']);
    t.same(await retry(undefined, 1001), ['committed', 'refused implausible'], 'a higher bound');
    t.same(await retry('gw-1'), ['committed'], 'the operator answers for it');
    t.match(await ledger.completeness(), [{ highest: 5000, records: 2, missingCount: 0 }]);
  },
);

t.test('once a gateway has signed a stream, nothing unsigned moves it ahead', async (t) => {
  const { ledger, register, send, retry, reasons } = await fresh(t, 'any');
  await register({ 'gw-1': [first] });
  await send(signed(first, { seqs: [1, 2, 9] }));
  await send(encodeEnvelope(envelope({ seqs: [10], text: 'forged' })));
  await send(encodeEnvelope(envelope({ sealedAt: 9 })));
  await send(encodeEnvelope(envelope({ gaps: [{ first: 3, last: 4, reason: 'age' }] })));
  await send(signed(second, { gaps: [{ first: 3, last: 4, reason: 'age' }] }));
  t.same(await reasons(), ['unproven', 'unproven', 'unproven', 'unproven']);
  t.match(await ledger.completeness(), [{ highest: 9, sealedAt: null, gaps: [], isSigned: true }]);
  await send(signed(first, { seqs: [10, 11] }));
  t.same(
    await retry(),
    ['committed', 'refused unproven', 'refused unproven', 'refused unproven'],
    'behind what the gateway has said since, it is a version like any other',
  );
  await register({ 'gw-1': [first, second] });
  t.same(await retry(), ['refused unproven', 'refused unproven', 'committed']);
  t.match(await ledger.conflicts(9), [{ seq: 10, held: { payload: Buffer.from('10') } }]);
});

t.test(
  'a gateway that is registered with accept: signed is taken at its word through every source',
  async (t) => {
    const { ledger, signatures, register, send, retry, reasons } = await fresh(t, 'any');
    t.equal(signatures.unverifiedCount('gw-1'), null, 'the ledger decides');
    await register({ 'gw-1': [first] }, { accept: 'signed' });
    await send(encodeEnvelope(envelope({ seqs: [1], text: 'forged' })));
    await send(signed(second, { seqs: [1], text: 'forged' }));
    await send(encodeEnvelope(envelope({ gateway: 'gw-2', seqs: [1] })));
    await send(signed(first, { seqs: [1] }));
    t.same(await reasons(), ['unsigned', 'unsigned']);
    t.match(await ledger.totals(), { records: 2, conflicts: 0 });
    t.equal(signatures.unverifiedCount('gw-1'), false);
    t.same(await retry(), ['refused unsigned', 'refused unsigned']);
    await register({ 'gw-1': [first] }, { accept: 'any' });
    t.equal(signatures.unverifiedCount('gw-1'), true);
    t.same(await retry(), ['committed', 'committed']);
    t.match(await ledger.totals(), { records: 2, conflicts: 1, duplicates: 1 });
  },
);

t.test('where every source accepts signed, no record counts that came unverified before', async (t) => {
  t.equal((await fresh(t, 'signed')).signatures.unverifiedCount('gw-1'), false);
});
