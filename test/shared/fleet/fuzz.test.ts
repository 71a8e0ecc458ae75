/** Changed bytes of real documents: none is accepted, nothing is thrown, and the work is bounded (I10). */
import t from 'tap';
import { seededEntropy } from '../../../shared/entropy.ts';
import { accept, type FleetState } from '../../../shared/fleet/core/acceptance.ts';
import { openEnvelope, type Verifier } from '../../../shared/fleet/core/envelope.ts';
import { fleetVerifier } from '../../../shared/fleet/sign.ts';
import { testSeed } from '../../seed.ts';
import {
  assignment,
  BODY,
  CONTEXT,
  KEYS,
  order,
  root,
  type Sent,
  sent,
  stateAfter,
  withEnvelope,
} from './bytes.ts';

const ROUNDS = 150;
const VERIFICATIONS_MAX = 64;

const { roots, assign, ops } = KEYS;
const ASSIGNED = sent([assign], { kind: 'assignment', content: assignment() });
const DOCUMENTS: Readonly<Record<string, { document: Sent; state: FleetState }>> = {
  root: { document: sent(roots, { kind: 'root', content: root({ version: 2 }) }), state: stateAfter() },
  policy: { document: BODY, state: stateAfter(ASSIGNED) },
  assignment: { document: ASSIGNED, state: stateAfter() },
  order: { document: sent([ops], { kind: 'order', content: order() }), state: stateAfter() },
};

const seed = testSeed();
t.comment(`seed ${seed}`);
const entropy = seededEntropy(seed);
const below = (end: number): number => Math.floor(entropy.float() * end);

/** One to three bytes other than before, taken out, or put in. */
function changed(bytes: Uint8Array): Buffer {
  const out = [...bytes];
  for (let left = 1 + below(3); left > 0; left -= 1) {
    const at = below(out.length);
    const kind = below(4);
    if (kind === 0) out.splice(at, 1);
    else if (kind === 1) out.splice(at, 0, below(256));
    else out[at] = ((out[at] ?? 0) + 1 + below(255)) & 0xff;
  }
  const result = Buffer.from(out);
  return result.equals(Buffer.from(bytes)) ? changed(bytes) : result;
}

/** A change of a signed part: the payload, its type, or every signature. */
function changedInside(document: Sent): Sent {
  const part = below(3);
  return withEnvelope(document, (envelope) => {
    if (part === 0) envelope.payload = changed(Buffer.from(envelope.payload, 'base64')).toString('base64');
    if (part === 1) envelope.payloadType = changed(Buffer.from(envelope.payloadType)).toString('latin1');
    if (part !== 2) return;
    for (const one of envelope.signatures) one.sig = changedSignature(one.sig);
  });
}

function changedSignature(sig: string): string {
  const bytes = Buffer.from(sig, 'base64');
  const at = below(bytes.length);
  bytes[at] = ((bytes[at] ?? 0) + 1 + below(255)) & 0xff;
  return bytes.toString('base64');
}

for (const [kind, { document, state }] of Object.entries(DOCUMENTS)) {
  let verifications = 0;
  const verifier: Verifier = {
    ...fleetVerifier,
    isSignature: (...args) => {
      verifications += 1;
      return fleetVerifier.isSignature(...args);
    },
  };
  const decide = (text: Uint8Array | string) => {
    verifications = 0;
    return accept(state, text, { ...CONTEXT, verifier });
  };

  t.test(`${kind}: signed bytes that were changed anywhere`, async (t) => {
    t.ok('state' in decide(document.text), 'the unchanged one is accepted');
    const accepted: string[] = [];
    let most = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { text } = changedInside(document);
      if ('state' in decide(text)) accepted.push(text);
      most = Math.max(most, verifications);
    }
    t.strictSame(accepted, []);
    t.ok(most <= VERIFICATIONS_MAX, `${most} verifications`);
  });

  t.test(`${kind}: any bytes of the text`, async (t) => {
    const signed = openEnvelope(document.text);
    if ('refusal' in signed) throw new Error(signed.refusal.reason);
    const wrong: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const text = changed(Buffer.from(document.text));
      if (!('state' in decide(text))) continue;
      // A key id, the name of a passed over member or a space may change. The signed bytes may not.
      const opened = openEnvelope(text);
      const same =
        'envelope' in opened &&
        opened.envelope.payloadType === signed.envelope.payloadType &&
        Buffer.compare(opened.envelope.payload, signed.envelope.payload) === 0;
      if (!same) wrong.push(text.toString('latin1'));
    }
    t.strictSame(wrong, []);
  });
}

t.test('bytes of nothing', async (t) => {
  const accepted: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const bytes = entropy.bytes(below(300));
    if ('state' in accept(stateAfter(), bytes, CONTEXT)) accepted.push(Buffer.from(bytes).toString('hex'));
  }
  t.strictSame(accepted, []);
});
