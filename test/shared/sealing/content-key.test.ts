/** Content keys for recipients: against the vectors of RFC 9180, and a second reader written after it. */
import { createPublicKey } from 'node:crypto';
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import t from 'tap';
import { seededEntropy, systemEntropy } from '../../../shared/entropy.ts';
import { keyPairOf, unwrapContentKey, wrapContentKey } from '../../../shared/sealing/content-key.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { keyIdOf } from '../../../shared/signing/signature.ts';
import { openBase } from './hpke-reader.ts';

/** RFC 9180, A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0. */
const VECTOR = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
  skRm: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
  enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  pt: '4265617574792069732074727574682c20747275746820626561757479',
  aad: '436f756e742d30',
  ct: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
};

function buffer(hex: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(hex, 'hex')).buffer;
}

t.test('the library and the second reader open the vector of RFC 9180', async (t) => {
  const kem = new DhkemX25519HkdfSha256();
  const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes128Gcm() });
  const recipientKey = await kem.deserializePrivateKey(buffer(VECTOR.skRm));
  const opening = { recipientKey, enc: buffer(VECTOR.enc), info: buffer(VECTOR.info) };
  const opened = await suite.open(opening, buffer(VECTOR.ct), buffer(VECTOR.aad));
  t.equal(Buffer.from(opened).toString('hex'), VECTOR.pt);
  const [enc, ciphertext, info, aad] = ['enc', 'ct', 'info', 'aad'].map((field) =>
    Buffer.from(VECTOR[field as keyof typeof VECTOR], 'hex'),
  );
  if (!enc || !ciphertext || !info || !aad) throw new Error('four fields');
  const recipient = { privateKey: VECTOR.skRm, publicKey: VECTOR.pkRm };
  t.equal(openBase({ enc, ciphertext, info, aad }, recipient, 1).toString('hex'), VECTOR.pt);
});

t.test('a wrapped key opens for its recipient and its gateway alone', async (t) => {
  const [own, other] = [newSealKey(seededEntropy(1)), newSealKey(seededEntropy(2))];
  const publicKey = createPublicKey(own);
  const key = systemEntropy.bytes(32);
  const wrapped = await wrapContentKey(key, { publicKey, gateway: 'gw-1', entropy: systemEntropy });
  t.equal(wrapped.keyId, keyIdOf(publicKey));
  t.same([wrapped.enc.length, wrapped.wrapped.length], [32, 48]);
  const pair = await keyPairOf(own, publicKey);
  t.same(await unwrapContentKey(wrapped, { pair, gateway: 'gw-1' }), key);
  t.equal(await unwrapContentKey(wrapped, { pair, gateway: 'gw-2' }), null, 'another gateway');
  const otherPair = await keyPairOf(other, createPublicKey(other));
  t.equal(await unwrapContentKey(wrapped, { pair: otherPair, gateway: 'gw-1' }), null, 'another recipient');
  for (const field of ['enc', 'wrapped'] as const) {
    const altered = { ...wrapped, [field]: wrapped[field].map((byte, i) => (i === 7 ? byte ^ 1 : byte)) };
    t.equal(await unwrapContentKey(altered, { pair, gateway: 'gw-1' }), null, `altered ${field}`);
  }
  const zero = { ...wrapped, enc: new Uint8Array(32) };
  t.equal(await unwrapContentKey(zero, { pair, gateway: 'gw-1' }), null, 'a point of small order');
});

t.test('the second reader opens what Headgate wraps', async (t) => {
  const own = newSealKey(seededEntropy(1));
  const publicKey = createPublicKey(own);
  const key = systemEntropy.bytes(32);
  const { enc, wrapped } = await wrapContentKey(key, { publicKey, gateway: 'gw-1', entropy: systemEntropy });
  const raw = {
    privateKey: own.export({ format: 'der', type: 'pkcs8' }).subarray(-32).toString('hex'),
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex'),
  };
  const info = Buffer.from('headgate sealed envelope gw-1');
  const sealed = { enc, ciphertext: wrapped, info, aad: Buffer.alloc(0) };
  t.same(new Uint8Array(openBase(sealed, raw, 2)), key);
});
