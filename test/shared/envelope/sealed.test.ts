/** The frame of version 3: clear ids, sealed content, a signature over both. */
import { createPublicKey } from 'node:crypto';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { seededEntropy } from '../../../shared/entropy.ts';
import { decodeEnvelope, encodeEnvelope, envelopeProperties } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { EnvelopeError } from '../../../shared/envelope/error.ts';
import { openFrame, versionOf } from '../../../shared/envelope/frame.ts';
import { type ContentOpener, sealBytes } from '../../../shared/envelope/seal.ts';
import { openerWith } from '../../../shared/sealing/content.ts';
import { keyPairOf, unwrapContentKey } from '../../../shared/sealing/content-key.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { openSession } from '../../../shared/sealing/session.ts';
import { envelopeSigner, isSignedBy } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { signerOf } from '../../../shared/signing/signature.ts';

const entropy = seededEntropy(5);
const own = newPrivateKey(entropy);
const signer = envelopeSigner(signerOf(own));
const routers = [newSealKey(entropy), newSealKey(entropy)];
const envelope: Envelope = {
  gateway: 'gw-1',
  epoch: '3-9f3a61c2',
  stream: 'private',
  clock: { bootId: 'the-boot', offsetMs: 0, quality: 'synchronised' },
  lane: 'live',
  records: [
    { seq: 5, monoMs: 1, device: 'the-device', topic: 'the/topic', payload: Buffer.from('the payload') },
  ],
  gaps: [{ first: 2, last: 3, reason: 'quota' }],
  sealedAt: null,
};

function session(count = routers.length) {
  return openSession(routers.slice(0, count).map(createPublicKey), { gateway: 'gw-1', entropy });
}

/** With the content key, as the router `i` gets it. */
async function openerFor(bytes: Uint8Array, i: number): Promise<ContentOpener> {
  const router = routers[i];
  const wrapped = openFrame(bytes).outer?.recipients?.[i];
  if (!router || !wrapped) throw new Error(`no recipient ${i}`);
  const pair = await keyPairOf(router, createPublicKey(router));
  const key = await unwrapContentKey(wrapped, { pair, gateway: 'gw-1' });
  if (key === null) throw new Error('not unwrapped');
  return openerWith(key);
}

function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return error instanceof EnvelopeError ? error.code : 'not an EnvelopeError';
  }
}

/** The bytes with the right checksum, as a forger would write it. */
function withChecksum(bytes: Buffer): Buffer {
  const end = bytes.length - 64;
  bytes.writeUInt32BE(crc32(bytes.subarray(8, end), crc32(bytes.subarray(0, 4))), 4);
  return bytes;
}

t.test('each recipient opens it, and nobody without a key', async (t) => {
  const bytes = encodeEnvelope(envelope, signer, await session());
  t.equal(versionOf(bytes), 3);
  t.equal(envelopeProperties(envelope, versionOf(bytes)).hg, '3');
  t.equal(await isSignedBy(createPublicKey(own), openFrame(bytes)), true);
  const { outer } = openFrame(bytes);
  t.match(outer, { gateway: 'gw-1', stream: 'private', range: { first: 2, last: 5 } });
  const plain = decodeEnvelope(encodeEnvelope(envelope));
  for (const i of [0, 1]) t.strictSame(decodeEnvelope(bytes, undefined, await openerFor(bytes, i)), plain);
  t.equal(
    codeOf(() => decodeEnvelope(bytes)),
    'seal-key',
  );
  t.equal(
    codeOf(() => decodeEnvelope(bytes, undefined, openerWith(new Uint8Array(32)))),
    'seal',
  );
  for (const text of ['the-device', 'the/topic', 'the payload', 'the-boot'])
    t.equal(Buffer.from(bytes).includes(text), false, text);
});

t.test(
  'an altered byte of the clear text or of the content is found, also without the signature',
  async (t) => {
    const bytes = Buffer.from(encodeEnvelope(envelope, signer, await session()));
    const opener = await openerFor(bytes, 0);
    for (let at = 0; at < bytes.length - 64; at += 1) {
      if (at >= 4 && at < 8) continue;
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
      const code = codeOf(() => decodeEnvelope(withChecksum(altered), undefined, opener));
      t.ok(code !== null && code !== 'not an EnvelopeError', `byte ${at}: ${code}`);
    }
  },
);

t.test('a session has its own key, and each envelope its own nonce', async (t) => {
  const first = await session();
  const [a, b] = [encodeEnvelope(envelope, signer, first), encodeEnvelope(envelope, signer, first)];
  t.notSame(openFrame(a).content, openFrame(b).content);
  const opener = await openerFor(a, 0);
  t.strictSame(decodeEnvelope(b, undefined, opener), decodeEnvelope(a, undefined, opener));
  const other = encodeEnvelope(envelope, signer, await session());
  t.equal(
    codeOf(() => decodeEnvelope(other, undefined, opener)),
    'seal',
  );
});

t.test('sealBytes is what a seal adds', async (t) => {
  const signed = encodeEnvelope(envelope, signer).length;
  for (const count of [1, 2])
    t.equal(encodeEnvelope(envelope, signer, await session(count)).length, signed + sealBytes(count));
});

t.test('one to four recipients, and a content after them', async (t) => {
  const bytes = Buffer.from(encodeEnvelope(envelope, signer, await session(1)));
  const countAt = 32 + 3 + 'gw-1'.length + '3-9f3a61c2'.length + 'private'.length;
  t.equal(bytes[countAt], 1);
  for (const [count, code] of [
    [0, 'frame'],
    [5, 'frame'],
    [4, 'truncated'],
  ] as const) {
    const altered = Buffer.from(bytes);
    altered[countAt] = count;
    t.equal(
      codeOf(() => openFrame(withChecksum(altered))),
      code,
      `${count} recipients`,
    );
  }
  const empty = Buffer.concat([bytes.subarray(0, countAt + 1 + 88 + 28), bytes.subarray(-64)]);
  t.equal(
    codeOf(() => openFrame(withChecksum(empty))),
    'truncated',
  );
  t.rejects(
    openSession([], { gateway: 'gw-1', entropy }).then((none) => encodeEnvelope(envelope, signer, none)),
  );
  t.throws(
    () => encodeEnvelope(envelope, null, { recipients: [], seal: () => new Uint8Array() }),
    RangeError,
  );
});
