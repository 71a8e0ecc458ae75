import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { decodeEnvelope, encodeEnvelope } from '../../../shared/envelope/codec.ts';
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { EnvelopeError } from '../../../shared/envelope/error.ts';
import { openFrame } from '../../../shared/envelope/frame.ts';
import { envelopeSigner, isSignedBy } from '../../../shared/signing/envelope-signature.ts';
import { signerOf } from '../../../shared/signing/signature.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const signer = envelopeSigner(signerOf(privateKey));

const envelope: Envelope = {
  gateway: 'gw-1',
  epoch: '3-9f3a61c2',
  stream: 'telemetry',
  clock: { bootId: 'b', offsetMs: 0, quality: 'synchronised' },
  lane: 'live',
  records: [{ seq: 5, monoMs: 1, device: 'd', topic: 't', payload: Buffer.from('payload') }],
  gaps: [{ first: 2, last: 3, reason: 'quota' }],
  sealedAt: null,
};
const signed = Buffer.from(encodeEnvelope(envelope, signer));

function isVerified(bytes: Uint8Array): Promise<boolean> {
  return isSignedBy(publicKey, openFrame(bytes));
}

/** The bytes with the right checksum, as a forger would write it. */
function withChecksum(bytes: Buffer): Buffer {
  const end = bytes.length - 64;
  bytes.writeUInt32BE(crc32(bytes.subarray(8, end), crc32(bytes.subarray(0, 4))), 4);
  return bytes;
}

function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return error instanceof EnvelopeError ? error.code : 'not an EnvelopeError';
  }
}

t.test('ids and range stand before the content, in clear text', async (t) => {
  const { outer } = openFrame(signed);
  t.match(outer, { gateway: 'gw-1', epoch: '3-9f3a61c2', stream: 'telemetry', range: { first: 2, last: 5 } });
  t.equal(outer?.keyId, signer.keyId);
  t.equal(await isVerified(signed), true);
  t.strictSame(decodeEnvelope(signed), decodeEnvelope(encodeEnvelope(envelope)));
  t.equal(openFrame(encodeEnvelope(envelope)).outer, null, 'version 1 is not signed');
});

t.test('the signature is over every byte before it', async (t) => {
  for (let at = 0; at < signed.length; at += 1) {
    const forged = Buffer.from(signed);
    forged.writeUInt8(forged.readUInt8(at) ^ 1, at);
    if (at < signed.length - 64 && (at < 4 || at > 7)) withChecksum(forged);
    const refused = codeOf(() => openFrame(forged));
    if (refused === null) t.equal(await isVerified(forged), false, `byte ${at}`);
    else t.ok(['magic', 'version', 'flags', 'checksum', 'frame', 'truncated'].includes(refused), refused);
  }
});

t.test('a body that disagrees with its frame is refused', async (t) => {
  const others: Array<Partial<Envelope>> = [
    { gateway: 'gw-2' },
    { epoch: '4-9f3a61c2' },
    { stream: 'telemetrz' },
    { records: envelope.records.map((record) => ({ ...record, seq: 6 })) },
    { gaps: [{ first: 1, last: 3, reason: 'quota' }] },
    { records: [], gaps: [] },
  ];
  const contentAt = 32 + 3 + 'gw-1'.length + '3-9f3a61c2'.length + 'telemetry'.length;
  for (const other of others) {
    const inner = Buffer.from(encodeEnvelope({ ...envelope, ...other }));
    const mixed = Buffer.concat([signed.subarray(0, contentAt), inner.subarray(8), signed.subarray(-64)]);
    mixed.writeUInt8(inner.readUInt8(3), 3);
    t.equal(
      codeOf(() => decodeEnvelope(withChecksum(mixed))),
      'frame',
      JSON.stringify(other),
    );
  }
});

t.test('a frame that ends early or names no envelope is refused', async (t) => {
  for (const length of [9, 72, 96, 103, 120])
    t.ok(
      ['truncated', 'checksum', 'frame'].includes(codeOf(() => openFrame(signed.subarray(0, length))) ?? ''),
    );
  const badName = Buffer.from(signed);
  badName.write('G', 33);
  t.equal(
    codeOf(() => openFrame(withChecksum(badName))),
    'frame',
  );
  const longName = Buffer.from(signed);
  longName.writeUInt8(255, 32);
  t.equal(
    codeOf(() => openFrame(withChecksum(longName))),
    'truncated',
  );
  const badRange = Buffer.from(signed);
  badRange.writeBigUInt64BE(2n ** 60n, 24);
  t.equal(
    codeOf(() => openFrame(withChecksum(badRange))),
    'frame',
  );
});

interface Vector {
  title: string;
  hex: string;
  publicKey?: string;
  keyId?: string;
}

t.test(
  'the published vectors of version 2 verify by the text of docs/reference/envelope.md alone',
  async (t) => {
    const all = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')) as Vector[];
    const vectors = all.filter(({ publicKey }) => publicKey !== undefined);
    t.ok(vectors.length >= 4);
    for (const { title, hex, publicKey = '', keyId } of vectors) {
      const bytes = Buffer.from(hex, 'hex');
      const der = Buffer.from(`302a300506032b6570032100${publicKey}`, 'hex');
      t.equal(createHash('sha256').update(der).digest('hex').slice(0, 16), keyId, title);
      t.equal(bytes.toString('hex', 8, 16), keyId, title);
      let contentAt = 32;
      for (let i = 0; i < 3; i += 1) contentAt += 1 + bytes.readUInt8(contentAt);
      const content = bytes.subarray(contentAt, -64);
      const payload = Buffer.concat([
        bytes.subarray(0, contentAt),
        createHash('sha256').update(content).digest(),
      ]);
      const message = Buffer.concat([
        Buffer.from(`DSSEv1 33 application/vnd.headgate.envelope ${payload.length} `),
        payload,
      ]);
      const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
      t.ok(verify(null, message, key, bytes.subarray(-64)), title);
    }
  },
);
