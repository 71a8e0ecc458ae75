/** The public vectors of DSSE and of RFC 8032, through the functions that gateways verify by. */

import { createPrivateKey, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { z } from 'zod';
import { openDocument } from '../../../shared/fleet/core/content.ts';
import { countSignatures, openEnvelope, tooFew } from '../../../shared/fleet/core/envelope.ts';
import { fleetVerifier, publicKeyOf } from '../../../shared/fleet/sign.ts';
import { signatureOf, signerOf } from '../../../shared/signing/signature.ts';

const text = z.string();
const vectors = z
  .object({
    keys: z.record(text, z.object({ seed: text, public: text })),
    rfc8032: z.array(z.object({ key: text, message: text, signature: text })),
    dsse: z.array(
      z.object({
        name: text,
        envelope: z.object({
          payload: text,
          payloadType: text,
          signatures: z.array(z.object({ sig: text, keyid: text.optional() })),
        }),
        trusted: z.array(text),
        threshold: z.int(),
        counted: z.array(text),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(new URL('vectors.json', import.meta.url), 'utf8')));

const signers = new Map(
  Object.entries(vectors.keys).map(([name, { seed }]) => {
    const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
    return [name, signerOf(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))];
  }),
);

function signer(name: string) {
  const found = signers.get(name);
  if (!found) throw new Error(name);
  return found;
}

const hex = (value: string): Buffer => Buffer.from(value, 'hex');

t.test('RFC 8032: the keys and signatures of its tests', async (t) => {
  for (const { key, message, signature } of vectors.rfc8032) {
    const one = signer(key);
    t.equal(Buffer.from(publicKeyOf(one), 'base64').toString('hex'), vectors.keys[key]?.public);
    t.equal(fleetVerifier.keyIdOf(publicKeyOf(one)), one.keyId);
    t.equal(sign(null, hex(message), one.key).toString('hex'), signature);
    const changed = hex(signature);
    changed[0] = (changed[0] ?? 0) ^ 1;
    t.equal(verify(null, hex(message), one.key, changed), false);
  }
});

for (const { name, envelope, trusted, threshold, counted } of vectors.dsse) {
  t.test(`DSSE: ${name}`, async (t) => {
    const opened = openEnvelope(JSON.stringify(envelope));
    if ('refusal' in opened) throw new Error(opened.refusal.reason);
    const keys = new Map(trusted.map((one) => [one, publicKeyOf(signer(one))]));
    const count = countSignatures(opened.envelope, { role: 'root', keys, threshold }, fleetVerifier);
    t.strictSame(count.signedBy, counted);
    t.equal(tooFew(count) === null, counted.length >= threshold);
    for (const [index, { sig }] of envelope.signatures.entries()) {
      if (counted.length === 0) continue;
      const key = counted[index] ?? counted[0] ?? '';
      const { payloadType, payload } = opened.envelope;
      const made = Buffer.from(signatureOf(signer(key), payloadType, payload)).toString('base64url');
      t.equal(
        made,
        sig.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''),
        'signing gives the same',
      );
    }
    t.match(openDocument(JSON.stringify(envelope)), { refusal: { reason: 'unknown-type' } }, 'none of ours');
  });
}

t.test('a text that is no key has no id, and verifies nothing', async (t) => {
  const { payload, payloadType, signature } = {
    payload: Buffer.from('x'),
    payloadType: 'a/b',
    signature: Buffer.alloc(64),
  };
  for (const key of ['', 'AAAA', `${publicKeyOf(signer('A'))} `, publicKeyOf(signer('A')).replace('=', '')]) {
    t.equal(fleetVerifier.keyIdOf(key), null);
    t.equal(fleetVerifier.isSignature(key, payloadType, payload, signature), false);
  }
});
