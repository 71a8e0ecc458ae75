/** Sealing at the agent: the content key of an hour, what a configuration needs, nothing in clear. */
import { createPublicKey } from 'node:crypto';
import t from 'tap';
import { protectWith } from '../../../agent/keys/protection.ts';
import { routerSealKeys, Sealing, sealIssues } from '../../../agent/keys/sealing.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { keyIdOf, signerOf } from '../../../shared/signing/signature.ts';

const log = createLogger({ level: 'silent', levels: {} });
const entropy = seededEntropy(3);
const router = newSealKey(entropy);
const publicPem = String(createPublicKey(router).export({ type: 'spki', format: 'pem' }));
const privatePem = String(router.export({ type: 'pkcs8', format: 'pem' }));
const own = newPrivateKey(entropy);
const signer = envelopeSigner(signerOf(own));

t.test('a stream that is sealed leaves in no other way', async (t) => {
  const sealing = new Sealing({ gateway: 'gw-1', keys: [publicPem], clock, entropy, log });
  const protect = protectWith(signer, sealing);
  t.same(protect({ seal: false }), { signer, sealer: null });
  t.throws(() => protect({ seal: true }), /the stream is sealed/, 'no content key yet');
  await sealing.start();
  t.teardown(() => sealing.stop());
  t.same(sealing.keyIds, [keyIdOf(createPublicKey(router))]);
  t.equal(protect({ seal: true }).sealer?.recipients.length, 1);
  t.throws(() => protectWith(null, sealing)({ seal: true }), /the stream is sealed/, 'not signed');
  const none = new Sealing({ gateway: 'gw-1', keys: [], clock, entropy, log });
  await none.start();
  t.throws(() => protectWith(signer, none)({ seal: true }), /the stream is sealed/, 'no key of a router');
});

t.test('a configuration whose sealed stream could never leave is refused', async (t) => {
  const streams = { secret: { topics: ['a/#'], seal: true }, telemetry: { topics: ['#'] } };
  const policy = policySchema.parse({ streams });
  const path = ['streams', 'secret', 'seal'];
  t.match(sealIssues(policy, { signing: { envelopes: true } }), [{ path, message: /no key to seal to/ }]);
  t.match(sealIssues(policy, { router_seal_keys: [publicPem] }), [{ path, message: /only a signed/ }]);
  t.same(sealIssues(policy, { router_seal_keys: [publicPem], signing: { envelopes: true } }), []);
  t.same(sealIssues(policySchema.parse({}), {}), []);
});

t.test('only public X25519 keys are keys to seal to, and no message quotes another', async (t) => {
  t.same(routerSealKeys.parse([publicPem]), [publicPem]);
  const signingPem = String(createPublicKey(own).export({ type: 'spki', format: 'pem' }));
  for (const pem of [privatePem, signingPem, 'secret', '-----BEGIN PUBLIC KEY-----\nsecret']) {
    const { error } = routerSealKeys.safeParse([pem]);
    t.match(error?.issues, [{ path: [0], message: 'expected an X25519 public key in PEM' }]);
    t.notMatch(JSON.stringify(error?.issues), pem.slice(-40).trim());
  }
  t.equal(routerSealKeys.safeParse(Array.from({ length: 5 }, () => publicPem)).success, false);
});
