/** Sealed envelopes, changed anywhere, with a right checksum: refused with a reason, and never read. */
import { createPublicKey } from 'node:crypto';
import { crc32 } from 'node:zlib';
import t from 'tap';
import { seededEntropy } from '../../shared/entropy.ts';
import { decodeEnvelope, encodeEnvelope } from '../../shared/envelope/codec.ts';
import { EnvelopeError } from '../../shared/envelope/error.ts';
import { openFrame } from '../../shared/envelope/frame.ts';
import { openerWith } from '../../shared/sealing/content.ts';
import { keyPairOf, unwrapContentKey } from '../../shared/sealing/content-key.ts';
import { newSealKey } from '../../shared/sealing/seal-key.ts';
import { openSession } from '../../shared/sealing/session.ts';
import { envelopeSigner } from '../../shared/signing/envelope-signature.ts';
import { newPrivateKey } from '../../shared/signing/private-key.ts';
import { signerOf } from '../../shared/signing/signature.ts';
import { envelope } from '../router/ledger/envelopes.ts';
import { testSeed } from '../seed.ts';

const FRAMES = 5000;
const SIGNATURE_BYTES = 64;

t.test('a changed frame does not open', async (t) => {
  const seed = testSeed();
  const entropy = seededEntropy(seed);
  const below = (n: number): number => Math.floor(entropy.float() * n);
  const router = newSealKey(entropy);
  const publicKey = createPublicKey(router);
  const session = await openSession([publicKey], { gateway: 'gw-1', entropy });
  const signer = envelopeSigner(signerOf(newPrivateKey(entropy)));
  const whole = Buffer.from(encodeEnvelope(envelope({ seqs: [1, 2, 3] }), signer, session));
  const wrapped = openFrame(whole).outer?.recipients?.[0];
  if (!wrapped) throw new Error('no recipient');
  const pair = await keyPairOf(router, publicKey);
  const key = await unwrapContentKey(wrapped, { pair, gateway: 'gw-1' });
  if (key === null) throw new Error('not unwrapped');
  const opener = openerWith(key);
  t.equal(decodeEnvelope(whole, undefined, opener).records.length, 3);
  const tally = new Map<string, number>();
  for (let i = 0; i < FRAMES; i += 1) {
    const at = 3 + below(whole.length - SIGNATURE_BYTES - 3);
    const [before, after] = [whole.subarray(0, at), whole.subarray(at + 1)];
    const ways = [
      () => Buffer.of((whole[at] ?? 0) ^ (1 << below(8))),
      () => Buffer.alloc(0),
      () => Buffer.concat([whole.subarray(at, at + 1), entropy.bytes(1 + below(90))]),
      () => Buffer.concat([whole.subarray(at, at + 1 + below(90)), whole.subarray(at, at + 1)]),
    ];
    const bytes = Buffer.concat([before, ways[i % ways.length]?.() ?? Buffer.alloc(0), after]);
    const end = bytes.length - SIGNATURE_BYTES;
    bytes.writeUInt32BE(crc32(bytes.subarray(8, end), crc32(bytes.subarray(0, 4))), 4);
    // A change of the checksum alone is undone by the line above.
    if (bytes.equals(whole)) continue;
    const code = outcome(() => decodeEnvelope(bytes, undefined, opener), `seed ${seed}, frame ${i}`);
    tally.set(code, (tally.get(code) ?? 0) + 1);
  }
  const known = ['flags', 'frame', 'seal', 'truncated'];
  t.same(
    [...tally.keys()].filter((code) => !known.includes(code)),
    [],
  );
  for (const code of ['frame', 'seal']) t.ok(tally.has(code), `${tally.get(code)} times ${code}`);
});

function outcome(work: () => unknown, title: string): string {
  try {
    work();
  } catch (error) {
    if (error instanceof EnvelopeError) return error.code;
    throw error;
  }
  throw new Error(`opened: ${title}`);
}
