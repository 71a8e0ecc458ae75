/** Sealing at the agent: the content key of an hour, what a configuration needs, nothing in clear. */
import { createPublicKey } from 'node:crypto';
import t from 'tap';
import { protectWith } from '../../../agent/keys/protection.ts';
import { routerSealKeys, Sealing, sealIssues } from '../../../agent/keys/sealing.ts';
import { systemClock as clock } from '../../../shared/clock.ts';
import { seededEntropy } from '../../../shared/entropy.ts';
import type { EnvelopeSealer } from '../../../shared/envelope/seal.ts';
import { createLogger } from '../../../shared/log.ts';
import { policySchema } from '../../../shared/policy/policy.ts';
import { keyPairOf, unwrapContentKey } from '../../../shared/sealing/content-key.ts';
import { newSealKey } from '../../../shared/sealing/seal-key.ts';
import { envelopeSigner } from '../../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../../shared/signing/private-key.ts';
import { keyIdOf, signerOf } from '../../../shared/signing/signature.ts';
import { ManualClock } from '../../manual-clock.ts';
import { asTimePasses, until } from '../../until.ts';

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

const HOUR_MS = 3_600_000;

/** The content key that the router gets out of the seal. */
async function contentKey(sealer: EnvelopeSealer | null): Promise<string> {
  const pair = await keyPairOf(router, createPublicKey(router));
  const [wrapped] = sealer?.recipients ?? [];
  const key = wrapped && (await unwrapContentKey(wrapped, { pair, gateway: 'gw-1' }));
  return key ? Buffer.from(key).toString('hex') : 'none';
}

t.test('each hour has a content key of its own; where none can be made, the one before stays', async (t) => {
  const time = new ManualClock();
  const lines: string[] = [];
  const log = createLogger({ level: 'error', levels: {} }, { write: (line) => lines.push(line) });
  let isOut: boolean = false;
  const source = {
    float: () => entropy.float(),
    bytes(count: number) {
      if (isOut) throw new Error('no entropy');
      return entropy.bytes(count);
    },
  };
  const sealing = new Sealing({ gateway: 'gw-1', keys: [publicPem], clock: time, entropy: source, log });
  await sealing.start();
  t.teardown(() => sealing.stop());
  const first = sealing.sealer;
  time.advance(HOUR_MS - 1);
  t.equal(sealing.sealer, first, 'within the hour it stays');
  time.advance(1);
  const second = await until('the next hour has another', () =>
    sealing.sealer === first ? null : sealing.sealer,
  );
  const keys = [await contentKey(first), await contentKey(second)];
  t.match(keys[0], /^[0-9a-f]{64}$/);
  t.match(keys[1], /^[0-9a-f]{64}$/);
  t.not(keys[0], keys[1]);
  t.same(
    second.recipients.map(({ keyId }) => keyId),
    sealing.keyIds,
  );

  isOut = true;
  time.advance(HOUR_MS);
  await until('the failure is told', () => lines.length > 0);
  t.match(JSON.parse(lines[0] ?? ''), { event: 'keys.not_sealing', error: /no entropy/ });
  t.equal(sealing.sealer, second, 'records go on leaving sealed');
  isOut = false;
  const third = await asTimePasses(time, 5000, 'it is tried again', () =>
    sealing.sealer === second ? null : sealing.sealer,
  );
  t.not(await contentKey(third), keys[1]);

  await sealing.stop();
  time.advance(2 * HOUR_MS);
  t.equal(sealing.sealer, third, 'after a stop none is made');
});
