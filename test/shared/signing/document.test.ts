import { createPublicKey, verify as isSigned } from 'node:crypto';
import t from 'tap';
import { seededEntropy } from '../../../shared/entropy.ts';
import { contentOf, openDocument, signDocument, verify } from '../../../shared/signing/document.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { type Signer, signerOf } from '../../../shared/signing/signature.ts';
import { compress } from '../../../shared/zstd.ts';

const [one, other] = [signerOf(newPrivateKey(seededEntropy(1))), signerOf(newPrivateKey(seededEntropy(2)))];
const SMALL = Buffer.from('{"a":1}');
const LARGE = Buffer.from(JSON.stringify(Array.from({ length: 5000 }, (_, i) => i)));

function keys(...signers: Signer[]) {
  return (id: string) => {
    const found = signers.find(({ keyId }) => keyId === id);
    return found ? createPublicKey(found.key) : null;
  };
}

function opened(json: unknown) {
  const read = openDocument(json, 'receipt');
  if ('problem' in read) throw new Error(read.problem);
  return read.document;
}

t.test('the bytes are those of the page: a head, the content, and DSSE around them', async (t) => {
  const document = signDocument([one], 'receipt', { gateway: 'gw-1', version: 258, content: SMALL });
  const payload = Buffer.from(document.payload, 'base64');
  const head = Buffer.from([1, 4, ...Buffer.from('gw-1'), 0, 0, 0, 0, 0, 0, 1, 2]);
  t.same(payload, Buffer.concat([head, SMALL]));
  const type = 'application/vnd.headgate.receipt';
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload]);
  const signature = Buffer.from(document.signatures[0]?.sig ?? '', 'base64');
  t.ok(isSigned(null, message, createPublicKey(one.key), signature));
  t.same(document.signatures[0]?.keyid, one.keyId);
});

t.test('what was signed comes back, small and large, whatever wrote the JSON anew', async (t) => {
  for (const content of [SMALL, LARGE, Buffer.alloc(0)]) {
    const signed = signDocument([one, other], 'receipt', { gateway: 'gw-1', version: 7, content });
    const reordered = Object.fromEntries(Object.entries(JSON.parse(JSON.stringify(signed))).reverse());
    const document = opened({ ...reordered, further: true });
    t.match(document, { gateway: 'gw-1', version: 7 });
    const all = { signedBy: [one.keyId, other.keyId], isForged: false };
    t.same(verify(document, keys(one, other)), all);
    t.same(verify(document, keys(other)), { signedBy: [other.keyId], isForged: false }, 'with overlap');
    t.same(verify(document, keys()), { signedBy: [], isForged: false });
    t.ok(Buffer.compare(contentOf(document, 100_000) ?? SMALL.subarray(1), content) === 0);
    if (content.length > 0) t.equal(contentOf(document, content.length - 1), null, 'longer than asked for');
  }
  const { payload } = signDocument([one], 'receipt', { gateway: 'gw-1', version: 7, content: LARGE });
  t.ok(payload.length < LARGE.length, 'large content is compressed');
});

t.test('what is no document is refused, with a text that quotes nothing (I10)', async (t) => {
  const good = signDocument([one], 'receipt', { gateway: 'gw-1', version: 7, content: SMALL });
  const payloadOf = (bytes: Uint8Array) => ({ ...good, payload: Buffer.from(bytes).toString('base64') });
  const bytes = Buffer.from(good.payload, 'base64');
  const withByte = (at: number, value: number) => {
    const changed = Buffer.from(bytes);
    changed[at] = value;
    return payloadOf(changed);
  };
  const [signature] = good.signatures;
  for (const [name, wrong] of Object.entries({
    null: null,
    text: 'x',
    'without signatures': { ...good, signatures: [] },
    'nine signatures': {
      ...good,
      signatures: Array.from({ length: 9 }, (_, i) => ({ ...signature, keyid: `${i}`.padStart(16, '0') })),
    },
    'a key twice': { ...good, signatures: [signature, signature] },
    'a key id of other form': { ...good, signatures: [{ ...signature, keyid: 'ABC' }] },
    'another type': signDocument([one], 'policy', { gateway: 'gw-1', version: 7, content: SMALL }),
    'base64 of other form': { ...good, payload: `${good.payload.replace(/=*$/, '')} ` },
    'too long': payloadOf(Buffer.alloc(100_000)),
    empty: payloadOf(Buffer.alloc(0)),
    'cut in the head': payloadOf(bytes.subarray(0, 10)),
    'an unknown form': withByte(0, 3),
    'no name': withByte(1, 0),
    'a name of other characters': withByte(2, 0x47),
    'version above 2^53': withByte(6, 1),
    'version 0': payloadOf(Buffer.concat([bytes.subarray(0, 6), Buffer.alloc(8), SMALL])),
  })) {
    const read = openDocument(wrong, 'receipt');
    t.ok('problem' in read, name);
    t.notMatch(JSON.stringify(read), new RegExp(good.payload.slice(4, 12)));
  }
});

t.test('a frame that unpacks to more, or is none, has no content', async (t) => {
  const bomb = compress(Buffer.alloc(10_000_000), 3);
  const good = signDocument([one], 'receipt', { gateway: 'gw-1', version: 7, content: LARGE });
  const head = Buffer.from(good.payload, 'base64').subarray(0, 14);
  for (const content of [bomb, Buffer.from('no frame'), Buffer.alloc(0)]) {
    const payload = Buffer.concat([head, content]).toString('base64');
    t.equal(contentOf(opened({ ...good, payload }), 128 * 1024), null);
  }
});

t.test('a signer refuses what no gateway would read', async (t) => {
  const wrong = { gateway: 'gw-1', version: 7, content: SMALL };
  t.throws(() => signDocument([one], 'receipt', { ...wrong, gateway: 'GW 1' }), RangeError);
  t.throws(() => signDocument([one], 'receipt', { ...wrong, version: 0 }), RangeError);
  t.throws(() => signDocument([one], 'receipt', { ...wrong, version: 2 ** 53 }), RangeError);
});
