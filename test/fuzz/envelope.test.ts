/**
 * Bodies of envelopes, changed in every way that a byte can be: either refused, or read in full, and then
 * encoded to the same bytes. Nothing that is read has a second form.
 */
import t from 'tap';
import { type Entropy, seededEntropy } from '../../shared/entropy.ts';
import { decodeBody } from '../../shared/envelope/body-reader.ts';
import { envelopeOf } from '../../shared/envelope/columns.ts';
import { EnvelopeError } from '../../shared/envelope/error.ts';
import { ENVELOPE_LIMITS } from '../../shared/envelope/limits.ts';
import { envelope } from '../router/ledger/envelopes.ts';
import { testSeed } from '../seed.ts';
import { encodeBody } from '../shared/envelope/body.ts';

const BODIES = 20_000;

t.test('a changed body is refused, or has no other form', async (t) => {
  const seed = testSeed();
  const entropy = seededEntropy(seed);
  const below = (n: number): number => Math.floor(entropy.float() * n);
  const tally = { accepted: 0, cbor: 0, schema: 0, limit: 0 };
  for (let i = 0; i < BODIES; i++) {
    const first = 1 + below(300);
    const seqs = Array.from({ length: below(12) }, (_, n) => first + n * (1 + (i % 3)));
    const gaps = i % 4 === 0 ? [{ first: 2000, last: 2000 + below(9), reason: 'age' as const }] : [];
    const sealedAt = i % 5 === 0 ? below(70_000) : null;
    const whole = encodeBody(envelope({ seqs, gaps, sealedAt, topic: `größe/${below(9)}` }));
    const body = changed(whole, entropy);
    tally[outcome(body, `seed ${seed}, body ${i}: ${body.toString('hex')}`)] += 1;
  }
  for (const [what, count] of Object.entries(tally)) t.ok(count > 0, `${what}: ${count}`);
});

function outcome(body: Buffer, title: string): 'accepted' | 'cbor' | 'schema' | 'limit' {
  try {
    const again = encodeBody(envelopeOf(decodeBody(body, ENVELOPE_LIMITS)));
    if (!body.equals(again)) throw new Error(`another form: ${title}`);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    const { code } = error;
    if (code === 'cbor' || code === 'schema' || code === 'limit') return code;
    throw new Error(`${code}: ${title}`);
  }
}

/** One to three changes: flipped, grown, cut, doubled, or a head written longer. */
function changed(whole: Buffer, entropy: Entropy): Buffer {
  const below = (n: number): number => Math.floor(entropy.float() * n);
  let body: Buffer = Buffer.from(whole);
  for (let changes = 1 + below(3); changes > 0; changes--) {
    const at = below(body.length);
    const [before, byte, after] = [body.subarray(0, at), body[at] ?? 0, body.subarray(at + 1)];
    const ways: ReadonlyArray<() => Uint8Array> = [
      () => Buffer.of(byte ^ (1 << below(8))),
      () => entropy.bytes(1),
      () => Buffer.of(byte, ...entropy.bytes(1 + below(8))),
      () => Buffer.alloc(0),
      () => body.subarray(at, at + 1 + below(40)),
      () => Buffer.of((byte & 0xe0) | 24, byte & 31),
      () => Buffer.of((byte & 0xe0) | 25, 0, byte & 31),
      () => Buffer.of((byte & 0xe0) | 27, 0, 0, 0, 0, 0xff, 0xff, 0xff, byte),
    ];
    const way = ways[below(ways.length)];
    body = Buffer.concat([before, way?.() ?? Buffer.alloc(0), after]);
    if (body.length === 0) return Buffer.of(0);
  }
  return body;
}
