/** The gateway's acceptance, and the state after it. Refusals: attacks.test.ts. */
import t from 'tap';
import { accept, firstState } from '../../../shared/fleet/core/acceptance.ts';
import type { Verifier } from '../../../shared/fleet/core/envelope.ts';
import { fleetVerifier, signFleetDocument } from '../../../shared/fleet/sign.ts';
import {
  assignment,
  BODY,
  CONTEXT,
  DAY_MS,
  ISSUED_MS,
  KEYS,
  order,
  policy,
  publicKeys,
  ROOT,
  role,
  root,
  type Sent,
  sent,
  sentRaw,
  stateAfter,
  withEnvelope,
} from './bytes.ts';

const { roots, policies, assign, ops, stranger, later } = KEYS;
const assigned = (changes: Parameters<typeof assignment>[0] = {}): Sent =>
  sent([assign], { kind: 'assignment', content: assignment(changes) });
const ordered = (changes: Parameters<typeof order>[0] = {}): Sent =>
  sent([ops], { kind: 'order', content: order(changes) });

t.test('an assignment, then the body that it names; both come twice (I11)', async (t) => {
  const state = stateAfter(assigned({ sequence: 7 }));
  t.match(state.assignment, { document: { sequence: 7, digest: BODY.digest } });
  t.equal(state.newestIssuedMs, ISSUED_MS);
  const decision = accept(state, BODY.text, CONTEXT);
  t.match(decision, {
    document: {
      kind: 'policy',
      digest: BODY.digest,
      body: { policy: { streams: { telemetry: { linger: 150 } } } },
    },
    signedBy: policies.map(({ keyId }) => keyId),
  });
  t.strictSame('state' in decision && decision.state, state, 'a body changes no state');
  t.strictSame(accept(state, BODY.text, CONTEXT), decision, 'the same events give the same result');
  t.match(accept(state, assigned({ sequence: 7 }).text, CONTEXT), { refusal: { reason: 'repeated' } });
});

t.test('scopes: the gateway, a group of it, the group of all', async (t) => {
  for (const scope of [{ gateway: 'gw-1' }, { group: 'eu' }, { group: 'all' }])
    t.ok('state' in accept(stateAfter(), assigned({ scope }).text, CONTEXT));
});

t.test('going back is a new sequence with an old digest', async (t) => {
  const next = sent(policies, { kind: 'policy', content: policy({ note: 'next' }) });
  const state = stateAfter(
    assigned({ sequence: 1 }),
    assigned({ sequence: 2, digest: next.digest, baseline: BODY.digest }),
    assigned({ sequence: 3, baseline: next.digest }),
  );
  t.equal(state.assignment?.document.digest, BODY.digest);
  t.ok('state' in accept(state, BODY.text, CONTEXT));
  t.ok('state' in accept(state, next.text, CONTEXT), 'the baseline too');
});

t.test(
  'an assignment whose body failed, or never comes, does not block the one that corrects it',
  async (t) => {
    const broken = stateAfter(assigned({ sequence: 1, digest: 'f'.repeat(64), baseline: BODY.digest }));
    for (const state of [broken, { ...broken, failed: new Set(['f'.repeat(64)]) }]) {
      t.match(accept(state, assigned({ sequence: 2 }).text, CONTEXT), {
        state: { assignment: { document: { sequence: 2 } } },
      });
      t.ok('state' in accept(state, ordered({ action: { do: 'revert' } }).text, CONTEXT));
    }
  },
);

t.test('a signed assignment with 32 holds and a dozen signatures has 6 KB at most', async (t) => {
  const holds = Array.from({ length: 32 }, (_, i) => ({
    provider: `p-${i}`,
    for_ms: 3_600_000,
    reason: 'maintenance',
  }));
  const { text } = sent(
    Array.from({ length: 12 }, () => assign),
    { kind: 'assignment', content: assignment({ holds }) },
  );
  t.ok(text.length <= 6 * 1024, String(text.length));
});

t.test('a sequence may jump by 2^20', async (t) => {
  t.ok('state' in accept(stateAfter(assigned()), assigned({ sequence: 1 + 2 ** 20 }).text, CONTEXT));
});

t.test('256 KiB of content are accepted', async (t) => {
  const large = sentRaw(policies, 'policy', JSON.stringify(policy()).padEnd(256 * 1024));
  const state = stateAfter(assigned({ digest: large.digest }));
  t.match(accept(state, large.text, CONTEXT), { document: { kind: 'policy', digest: large.digest } });
});

t.test('orders: freeze keeps new policies out and lets the baseline in, until unfreeze', async (t) => {
  const other = sent(policies, { kind: 'policy', content: policy({ note: 'baseline' }) });
  const frozen = stateAfter(assigned({ baseline: other.digest }), ordered({ sequence: 1 }));
  t.equal(frozen.frozenBy, 'order');
  t.match(accept(frozen, BODY.text, CONTEXT), { refusal: { reason: 'frozen' } });
  t.ok('state' in accept(frozen, other.text, CONTEXT));
  const hold = {
    do: 'hold' as const,
    provider: 'aws',
    for_ms: 7_200_000,
    reason: 'maintenance',
    force: false,
  };
  for (const action of [
    hold,
    { do: 'release' as const, provider: 'aws', reason: 'done' },
    { do: 'revert' as const },
  ])
    t.match(accept(frozen, ordered({ sequence: 2, action }).text, CONTEXT), { state: { frozenBy: 'order' } });
  const free = accept(frozen, ordered({ sequence: 2, action: { do: 'unfreeze' } }).text, CONTEXT);
  t.match(free, { state: { frozenBy: null } });
  t.ok('state' in free && 'state' in accept(free.state, assigned({ sequence: 2 }).text, CONTEXT));
});

t.test('an assignment that freezes lets its own body in, and orders', async (t) => {
  const state = stateAfter(assigned({ freeze: true }));
  t.equal(state.frozenBy, 'assignment');
  t.ok('state' in accept(state, BODY.text, CONTEXT));
  t.match(accept(state, ordered({ action: { do: 'unfreeze' } }).text, CONTEXT), {
    state: { frozenBy: null },
  });
});

t.test('orders and assignments have a sequence each: neither key outruns the other', async (t) => {
  const state = stateAfter(ordered({ sequence: 1_000_000, action: { do: 'unfreeze' } }));
  t.ok('state' in accept(state, assigned({ sequence: 1 }).text, CONTEXT));
});

t.test('without a synchronised clock, the newest verified time counts (I7)', async (t) => {
  const now = { synchronisedMs: null };
  t.ok('state' in accept(stateAfter(), assigned().text, { ...CONTEXT, now }));
  const late = stateAfter(
    ordered({ issued_ms: ISSUED_MS + DAY_MS - 1, accept_until_ms: ISSUED_MS + 2 * DAY_MS }),
  );
  t.equal(late.newestIssuedMs, ISSUED_MS + DAY_MS - 1);
});

t.test('signatures of unknown keys and wrong ones are passed over when enough are right', async (t) => {
  const content = { kind: 'assignment', content: assignment() } as const;
  const mixed = withEnvelope(sent([stranger, assign, ops], content), ({ signatures }) => {
    signatures.unshift({ keyid: assign.keyId, sig: signatures[0]?.sig ?? '' });
  });
  t.match(accept(stateAfter(), mixed.text, CONTEXT), { signedBy: [assign.keyId] });
});

t.test('key ids are hints: none, and URL-safe base64, count as well', async (t) => {
  const bare = withEnvelope(assigned(), (envelope) => {
    envelope.payload = Buffer.from(envelope.payload, 'base64').toString('base64url');
    envelope.signatures = envelope.signatures.map(({ sig }) => ({
      sig: Buffer.from(sig, 'base64').toString('base64url'),
    }));
  });
  t.match(accept(stateAfter(), bare.text, CONTEXT), { signedBy: [assign.keyId] });
});

t.test('a hostile envelope costs at most 32 verifications (I10)', async (t) => {
  let verifications = 0;
  const verifier: Verifier = {
    ...fleetVerifier,
    isSignature: (...args) => {
      verifications += 1;
      return fleetVerifier.isSignature(...args);
    },
  };
  const costly = (document: Sent): Sent =>
    withEnvelope(document, (envelope) => {
      const sig = Buffer.alloc(64, 1).toString('base64');
      envelope.signatures = Array.from({ length: 16 }, () => ({ sig }));
    });
  const next = sent(roots, { kind: 'root', content: root({ version: 2 }) });
  for (const document of [assigned(), BODY, next]) {
    verifications = 0;
    t.match(accept(stateAfter(), costly(document).text, { ...CONTEXT, verifier }), {
      refusal: { reason: 'signatures' },
    });
    t.ok(verifications > 0 && verifications <= 32, String(verifications));
  }
});

t.test('the first root: its own keys, and the digest that was pinned', async (t) => {
  t.match(firstState(ROOT.text, ROOT.digest, fleetVerifier), {
    state: { newestIssuedMs: ISSUED_MS - DAY_MS },
  });
  const pinned = 'a'.repeat(64);
  t.match(firstState(ROOT.text, pinned, fleetVerifier), {
    refusal: { reason: 'not-pinned', found: ROOT.digest },
  });
  const alone = sent([roots[0]], { kind: 'root', content: root() });
  t.match(firstState(alone.text, alone.digest, fleetVerifier), {
    refusal: { reason: 'signatures', needed: 2 },
  });
  t.match(firstState(BODY.text, null, fleetVerifier), { refusal: { reason: 'malformed' } });
  t.match(firstState('{', null, fleetVerifier), { refusal: { reason: 'malformed' } });
});

t.test('rotation: N + 1 by the thresholds of both, and the keys of N + 1 count from then on', async (t) => {
  const newAssign = KEYS.stranger;
  const content = root({
    version: 2,
    issued_ms: ISSUED_MS + DAY_MS,
    keys: publicKeys([...later, ...policies, newAssign, ops]),
    roles: { root: role(later), policy: role(policies), assign: role([newAssign]), ops: role([ops]) },
  });
  const second = sent([...roots.slice(1), ...later], { kind: 'root', content });
  const before = stateAfter(assigned({ sequence: 900 }));
  const decision = accept(before, second.text, CONTEXT);
  t.match(decision, {
    document: { kind: 'root', digest: second.digest },
    state: {
      trusted: { root: { version: 2 } },
      newestIssuedMs: ISSUED_MS + DAY_MS,
      assignment: { document: { sequence: 900 } },
    },
  });
  if (!('state' in decision)) return;
  t.match(accept(decision.state, second.text, CONTEXT), { refusal: { reason: 'repeated' } });
  const again = {
    root: 2,
    sequence: 1,
    issued_ms: ISSUED_MS + DAY_MS,
    accept_until_ms: ISSUED_MS + 2 * DAY_MS,
  };
  t.match(
    accept(decision.state, assigned(again).text, CONTEXT),
    { refusal: { reason: 'signatures' } },
    'the old key',
  );
  const anew = sent([newAssign], { kind: 'assignment', content: assignment(again) });
  t.match(accept(decision.state, anew.text, CONTEXT), {
    state: { assignment: { document: { root: 2, sequence: 1 } } },
  });
});

t.test('a new root takes from a stolen key what it had run ahead: its sequence and its time', async (t) => {
  const far = { issued_ms: ISSUED_MS + 3000 * DAY_MS, accept_until_ms: ISSUED_MS + 3001 * DAY_MS };
  const now = { synchronisedMs: null };
  const hit = accept(stateAfter(), assigned({ ...far, sequence: 2 ** 20 }).text, { ...CONTEXT, now });
  if (!('state' in hit)) throw new Error('not accepted');
  t.match(accept(hit.state, assigned({ sequence: 2 ** 20 + 1 }).text, { ...CONTEXT, now }), {
    refusal: { reason: 'expired' },
  });
  const second = sent(roots, { kind: 'root', content: root({ version: 2, issued_ms: ISSUED_MS }) });
  const healed = accept(hit.state, second.text, { ...CONTEXT, now });
  if (!('state' in healed)) throw new Error('not accepted');
  t.ok('state' in accept(healed.state, assigned({ root: 2, sequence: 1 }).text, { ...CONTEXT, now }));
});

t.test('a signer refuses what no gateway would take', async (t) => {
  const note = 'x'.repeat(300 * 1024);
  t.throws(() => signFleetDocument(policies, { kind: 'policy', content: policy({ note }) }), RangeError);
});
