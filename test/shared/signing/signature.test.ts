import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import t from 'tap';
import { isSignatureOf, keyIdOf, signatureOf, signerOf } from '../../../shared/signing/signature.ts';

/** RFC 8032, section 7.1, test 1. */
const SECRET = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
const PUBLIC = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

const key = createPrivateKey({
  key: Buffer.from(`302e020100300506032b657004220420${SECRET}`, 'hex'),
  format: 'der',
  type: 'pkcs8',
});
const publicKey = createPublicKey(key);

t.test('the signed bytes are those of DSSE: type and payload, each with its length', async (t) => {
  const signature = signatureOf(signerOf(key), 'http://example.com/HelloWorld', Buffer.from('hello world'));
  // The example of DSSE's protocol.md.
  const literal = 'DSSEv1 29 http://example.com/HelloWorld 11 hello world';
  t.ok(verify(null, Buffer.from(literal), publicKey, signature));
});

t.test('a signature counts for its type, its payload and its key alone', async (t) => {
  const payload = Buffer.from('payload');
  const signature = signatureOf(signerOf(key), 'a/b', payload);
  t.equal(await isSignatureOf(publicKey, 'a/b', payload, signature), true);
  t.equal(await isSignatureOf(publicKey, 'a/c', payload, signature), false);
  t.equal(await isSignatureOf(publicKey, 'a/b', Buffer.from('payloae'), signature), false);
  t.equal(await isSignatureOf(publicKey, 'a/b', payload, signature.subarray(1)), false);
  t.equal(await isSignatureOf(generateKeyPairSync('ed25519').publicKey, 'a/b', payload, signature), false);
});

t.test('a key id is the start of SHA-256 of the public key in DER', async (t) => {
  const der = Buffer.from(`302a300506032b6570032100${PUBLIC}`, 'hex');
  t.equal(keyIdOf(publicKey), createHash('sha256').update(der).digest('hex').slice(0, 16));
  t.equal(signerOf(key).keyId, keyIdOf(publicKey));
  t.throws(() => signerOf(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey), RangeError);
  t.throws(() => signerOf(publicKey), RangeError);
});
