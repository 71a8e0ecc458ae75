/** Sealed envelopes at the router: which are opened, and where others go; with a real ledger and keys. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { retryDeadLetters } from '../../../router/ingest/dead-letter-retry.ts';
import { DecodeMeter } from '../../../router/ingest/decode-meter.ts';
import { DecodePool } from '../../../router/ingest/decode-pool.ts';
import { Ingest } from '../../../router/ingest/ingest.ts';
import { Seals } from '../../../router/ingest/seals.ts';
import { Signatures } from '../../../router/ingest/signatures.ts';
import { openSqliteLedger } from '../../../router/ledger/sqlite/engine.ts';
import { SealKeys } from '../../../router/sealing/seal-keys.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { encodeEnvelope } from '../../../shared/envelope/codec.ts';
import { createLogger } from '../../../shared/log.ts';
import { newSealKey, SEALING, sealKeyFolder } from '../../../shared/sealing/seal-key.ts';
import { openSession } from '../../../shared/sealing/session.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { keepKey, removeKey } from '../../../shared/signing/key-folder.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { keyIdOf, signerOf } from '../../../shared/signing/signature.ts';
import { testDir } from '../../test-dir.ts';
import { type EnvelopeSketch, envelope } from '../ledger/envelopes.ts';

const log = createLogger({ level: 'silent', levels: {} });
const entropy = seededEntropy(11);
const [gatewayKey, strangerKey] = [newPrivateKey(entropy), newPrivateKey(entropy)];
const [oldKey, newKey, otherKey] = [newSealKey(entropy), newSealKey(entropy), newSealKey(entropy)];

interface Sending {
  signedBy?: KeyObject;
  to: readonly KeyObject[];
}

async function sealed(sketch: EnvelopeSketch, { signedBy = gatewayKey, to }: Sending): Promise<Buffer> {
  const whole = envelope(sketch);
  const session = await openSession(to.map(createPublicKey), { gateway: whole.gateway, entropy });
  return Buffer.from(encodeEnvelope(whole, envelopeSigner(signerOf(signedBy)), session));
}

async function fresh(t: Test, required: readonly string[] = [], decoder?: DecodePool) {
  const dir = testDir(t);
  const ledger = await openSqliteLedger({ file: join(dir, 'ledger.db'), clock, log });
  t.teardown(() => ledger.close());
  const folder = sealKeyFolder(dir);
  const keys = new SealKeys({ data_dir: dir, sealing: { key_files: [] } }, { clock, log });
  const seals = new Seals({ keys, required });
  const own = createPublicKey(gatewayKey);
  const signatures = new Signatures({
    accept: new Map([['aws', 'any']]),
    keys: {
      isRead: true,
      signingKey: (_, id) => (id === keyIdOf(own) ? own : null),
      acceptOf: () => null,
    },
  });
  const ingest = new Ingest({ ledger, clock, log, signatures, seals, ...(decoder && { decoder }) });
  const send = (bytes: Uint8Array) =>
    ingest.handler({ source: 'aws', bytes, authenticatedGateway: null, deliveryCount: null });
  const retry = async (): Promise<string[]> => {
    const outcomes: string[] = [];
    const deps = { clock, log, signatures, seals };
    for await (const { outcome, reason } of retryDeadLetters(ledger, ledger.maintenance, {}, deps))
      outcomes.push(`${outcome} ${reason ?? ''}`.trim());
    return outcomes;
  };
  const reasons = async () => (await ledger.deadLetters(20)).map(({ reason }) => reason).toReversed();
  return { dir, ledger, folder, keys, seals, ingest, send, retry, reasons };
}

t.test('opened with any key that the router has, the old one beside the new one', async (t) => {
  const { ledger, folder, keys, seals, ingest, send, reasons } = await fresh(t);
  await keepKey(folder, oldKey, SEALING);
  const kept = await keepKey(folder, newKey, SEALING);
  await keys.read();
  t.same(keys.keyIds.length, 2);
  t.equal(await send(await sealed({ seqs: [1] }, { to: [oldKey] })), 'settle');
  t.equal(await send(await sealed({ seqs: [2] }, { to: [otherKey, newKey] })), 'settle');
  const twice = await sealed({ seqs: [3] }, { to: [newKey] });
  await send(twice);
  await send(twice);
  t.match(await ledger.totals(), { records: 3, duplicates: 1, conflicts: 0, deadLetters: 0 });
  t.equal(ingest.counters().get('aws')?.sealed, 4);
  t.equal(seals.unwrapped, 3, 'a content key is unwrapped once');
  await removeKey(kept);
  await keys.read();
  await send(await sealed({ seqs: [4] }, { to: [newKey] }));
  t.same(await reasons(), ['seal-key'], 'a removed key opens nothing more');
});

t.test('copies that were sealed apart are one record', async (t) => {
  const { ledger, folder, keys, send } = await fresh(t);
  await keepKey(folder, oldKey, SEALING);
  await keys.read();
  await send(await sealed({ seqs: [1, 2] }, { to: [oldKey] }));
  await send(await sealed({ seqs: [1, 2] }, { to: [oldKey] }));
  await send(encodeEnvelope(envelope({ seqs: [1, 2] }), envelopeSigner(signerOf(gatewayKey))));
  t.match(await ledger.totals(), { records: 2, duplicates: 4, conflicts: 0 });
});

t.test('sealed to an unknown key: a dead letter, taken once the key is there', async (t) => {
  const { ledger, folder, keys, send, retry, reasons } = await fresh(t);
  await keys.read();
  await send(await sealed({ seqs: [1], text: 'the payload' }, { to: [newKey] }));
  t.same(await reasons(), ['seal-key']);
  const [letter] = await ledger.deadLetters(1);
  t.match(letter?.detail, keyIdOf(createPublicKey(newKey)));
  t.notMatch(Buffer.from(letter?.bytes ?? []).toString('latin1'), 'the payload', 'kept as it came');
  t.same(await retry(), ['refused seal-key']);
  await keepKey(folder, newKey, SEALING);
  await keys.read();
  t.same(await retry(), ['committed']);
  t.match(await ledger.totals(), { records: 1 });
  t.same(await reasons(), []);
});

t.test('nothing is opened for an unknown sender, for another gateway, or after a change', async (t) => {
  const { ledger, folder, keys, seals, send, reasons } = await fresh(t);
  await keepKey(folder, newKey, SEALING);
  await keys.read();
  await send(await sealed({ seqs: [1] }, { signedBy: strangerKey, to: [newKey] }));
  t.equal(seals.unwrapped, 0, 'no private key worked for a stranger');
  const session = await openSession([createPublicKey(newKey)], { gateway: 'gw-2', entropy });
  const signer = envelopeSigner(signerOf(gatewayKey));
  await send(encodeEnvelope(envelope({ seqs: [1] }), signer, session));
  const lifted = {
    recipients: session.recipients,
    seal: (_: unknown, content: Uint8Array) => Buffer.concat([content, Buffer.alloc(28)]),
  };
  await send(encodeEnvelope(envelope({ seqs: [1] }), signer, lifted));
  const altered = await sealed({ seqs: [1] }, { to: [newKey] });
  altered.writeUInt8(altered.readUInt8(altered.length - 70) ^ 1, altered.length - 70);
  await send(altered);
  t.same(await reasons(), ['unknown-key', 'seal', 'seal', 'checksum']);
  t.match(await ledger.totals(), { records: 0 });
});

t.test('a stream that must be sealed is refused in clear, signed or not', async (t) => {
  const { ledger, folder, keys, send, retry, reasons } = await fresh(t, ['private']);
  await keepKey(folder, newKey, SEALING);
  await keys.read();
  const clear = envelope({ stream: 'private', seqs: [1] });
  await send(encodeEnvelope(clear, envelopeSigner(signerOf(gatewayKey))));
  await send(encodeEnvelope(clear));
  await send(encodeEnvelope(envelope({ stream: 'telemetry', seqs: [1] })));
  t.same(await reasons(), ['unsealed', 'unsealed']);
  t.same(await retry(), ['refused unsealed', 'refused unsealed']);
  await send(await sealed({ stream: 'private', seqs: [1] }, { to: [newKey] }));
  t.match(await ledger.totals(), { records: 2 });
});

t.test('a large envelope is opened in a thread', async (t) => {
  const meter = new DecodeMeter();
  const decoder = new DecodePool({ clock, log, meter, threads: 1 });
  await decoder.start();
  t.teardown(() => decoder.stop());
  const { ledger, folder, keys, send, reasons } = await fresh(t, [], decoder);
  await keepKey(folder, newKey, SEALING);
  await keys.read();
  const seqs = Array.from({ length: 2000 }, (_, i) => i + 1);
  await send(await sealed({ seqs }, { to: [newKey] }));
  t.match(await ledger.totals(), { records: 2000 });
  const wrong = await openSession([createPublicKey(newKey)], { gateway: 'gw-1', entropy });
  const other = await openSession([createPublicKey(newKey)], { gateway: 'gw-1', entropy });
  const signer = envelopeSigner(signerOf(gatewayKey));
  const mixed = { recipients: wrong.recipients, seal: other.seal };
  await send(encodeEnvelope(envelope({ seqs }), signer, mixed));
  t.same(await reasons(), ['seal']);
  t.equal(Object.fromEntries(meter.places())['thread']?.messages, 1, 'what does not open needs no thread');
});

t.test('until the keys were read once, sealed messages stay with the provider', async (t) => {
  const { ledger, dir, folder, keys, send } = await fresh(t);
  const bytes = await sealed({ seqs: [1] }, { to: [newKey] });
  t.equal(await send(bytes), 'later');
  mkdirSync(folder);
  writeFileSync(join(folder, `0001-${'0'.repeat(16)}.pem`), 'not a key');
  await keys.read();
  t.equal(await send(bytes), 'later', 'the only file holds no key');
  await keepKey(sealKeyFolder(dir), newKey, SEALING);
  await keys.read();
  t.equal(await send(bytes), 'settle');
  t.match(await ledger.totals(), { records: 1, deadLetters: 0 });
});
