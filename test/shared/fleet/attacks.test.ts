/**
 * Attacks on what gateways accept, as data: who signed, the order, whose it is, when, stolen keys, roots.
 * Real bytes, and the reason for which each is refused.
 */
import { compress } from '../../../shared/zstd.ts';
import {
  assigned,
  body,
  fresh,
  json,
  ordered,
  other,
  rooted,
  runAttacks,
  running,
  under2,
} from './attack.ts';
import {
  assignment,
  BODY,
  DAY_MS,
  ISSUED_MS,
  KEYS,
  order,
  policy,
  publicKeys,
  role,
  root,
  sentBytes,
  sentRaw,
  stateAfter,
  withEnvelope,
} from './bytes.ts';

const { roots, policies, assign, ops, stranger } = KEYS;
const [policyKey] = policies;

/** Root keys of a second root: two of two others. */
function newRootKeys() {
  const keys = { ...root().keys, ...publicKeys(KEYS.later) };
  return { keys, roles: { ...root().roles, root: role(KEYS.later) } };
}

runAttacks({
  // The signers.
  unsigned: {
    document: withEnvelope(assigned(), (envelope) => {
      envelope.signatures = [];
    }),
    refused: { reason: 'signatures', signedBy: [], wrong: [], unknown: 0 },
  },
  'signatures taken out': {
    document: { text: json({ ...JSON.parse(assigned().text), signatures: undefined }), digest: '' },
    refused: { reason: 'malformed', field: 'signatures' },
  },
  'signatures that are null': {
    document: { text: json({ ...JSON.parse(assigned().text), signatures: null }), digest: '' },
    refused: { reason: 'malformed', field: 'signatures' },
  },
  'an empty signature': {
    document: withEnvelope(assigned(), ({ signatures: [one] }) => {
      if (one) one.sig = '';
    }),
    refused: { reason: 'malformed', field: 'signatures[0].sig' },
  },
  'a signature of zeros': {
    document: withEnvelope(assigned(), ({ signatures: [one] }) => {
      if (one) one.sig = Buffer.alloc(64).toString('base64');
    }),
    refused: { reason: 'signatures', wrong: [assign.keyId] },
  },
  'signed by a stranger': {
    document: assigned({}, stranger),
    refused: { reason: 'signatures', signedBy: [], unknown: 1 },
  },
  'signed by a stranger under the name of the key': {
    document: withEnvelope(assigned({}, stranger), ({ signatures: [one] }) => {
      if (one) one.keyid = assign.keyId;
    }),
    refused: { reason: 'signatures', signedBy: [], wrong: [assign.keyId] },
  },
  'the signature of another document': {
    document: withEnvelope(assigned(), (envelope) => {
      const { signatures } = JSON.parse(assigned({ sequence: 2 }).text);
      envelope.signatures = signatures;
    }),
    refused: { reason: 'signatures', wrong: [assign.keyId] },
  },
  'a policy by one of two keys': {
    document: body({}, [policyKey]),
    state: running,
    refused: { reason: 'signatures', needed: 2, signedBy: [policyKey.keyId] },
  },
  'one key counted twice': {
    document: body({}, [policyKey, policyKey]),
    state: running,
    refused: { reason: 'signatures', needed: 2, signedBy: [policyKey.keyId] },
  },
  'one key counted twice, once without its id': {
    document: withEnvelope(body({}, [policyKey, policyKey]), ({ signatures: [one] }) => {
      if (one) delete one.keyid;
    }),
    state: running,
    refused: { reason: 'signatures', needed: 2, signedBy: [policyKey.keyId] },
  },
  'one key in a root under two ids': {
    document: rooted({
      version: 2,
      keys: { ...root().keys, '0123456789abcdef': root().keys[policyKey.keyId] ?? '' },
    }),
    refused: { reason: 'malformed', field: 'keys.0123456789abcdef' },
  },
  'one key in a role twice': {
    document: rooted({ version: 2, roles: { ...root().roles, policy: role([policyKey, policyKey]) } }),
    refused: { reason: 'malformed', field: 'roles.policy.keys' },
  },
  'a role whose threshold is zero': {
    document: rooted({ version: 2, roles: { ...root().roles, policy: role(policies, 0) } }),
    refused: { reason: 'malformed', field: 'roles.policy.threshold' },
  },
  'a signature for a receipt': {
    document: withEnvelope(
      sentBytes([assign], null, compress(Buffer.from(json(assignment())), 3)),
      (envelope) => {
        envelope.payloadType = 'application/vnd.headgate.fleet.assignment';
      },
    ),
    refused: { reason: 'signatures', wrong: [assign.keyId] },
  },
  'a receipt': {
    document: sentBytes([assign], null, compress(Buffer.from(json(assignment())), 3)),
    refused: { reason: 'unknown-type' },
  },
  // Order.
  'an old term': { document: assigned({ term: 1, root: 2 }), state: under2, refused: { reason: 'old-term' } },
  'an old root': { document: assigned({ term: 2, root: 1 }), state: under2, refused: { reason: 'old-root' } },
  'a root that is not here yet': { document: assigned({ root: 2 }), refused: { reason: 'unknown-root' } },
  'a term that is not here yet': { document: assigned({ term: 2 }), refused: { reason: 'unknown-root' } },
  'a replayed assignment': {
    document: assigned({ sequence: 4 }),
    state: running,
    refused: { reason: 'superseded', sequence: 4, highest: 5 },
  },
  'the assignment in force once more': {
    document: assigned({ sequence: 5 }),
    state: running,
    refused: { reason: 'repeated' },
  },
  'the same order with another digest': {
    document: assigned({ sequence: 5, digest: other.digest }),
    state: running,
    refused: { reason: 'equivocation', sequence: 5, kept: running.assignment?.digest ?? '' },
  },
  'the same order and policy with another trial': {
    document: assigned({ sequence: 5, trial: { confirm_within_ms: 3_600_000 } }),
    state: running,
    refused: { reason: 'equivocation', sequence: 5 },
  },
  'fast-forward': {
    document: assigned({ sequence: 5 + 2 ** 20 + 1 }),
    state: running,
    refused: { reason: 'fast-forward', highest: 5 },
  },
  'fast-forward of a gateway that has no assignment': {
    document: assigned({ sequence: 2 ** 53 - 1 }),
    refused: { reason: 'fast-forward', highest: 0 },
  },
  'a replayed order': {
    document: ordered({ sequence: 4 }),
    state: running,
    refused: { reason: 'superseded', sequence: 4 },
  },
  'fast-forward of orders': {
    document: ordered({ sequence: 2 ** 40 }),
    state: running,
    refused: { reason: 'fast-forward' },
  },
  // Whose.
  'another gateway’s': {
    document: assigned({ scope: { gateway: 'gw-2' } }),
    refused: { reason: 'other-gateway', gateway: 'gw-2' },
  },
  'another group’s': {
    document: assigned({ scope: { group: 'us' } }),
    refused: { reason: 'other-group', group: 'us' },
  },
  'another gateway’s order': {
    document: ordered({ scope: { gateway: 'gw-2' } }),
    refused: { reason: 'other-gateway' },
  },
  'another fleet’s assignment by the same key': {
    document: assigned({ authority: 'plant-00000000' }),
    refused: { reason: 'other-fleet', authority: 'plant-00000000' },
  },
  'another fleet’s order': {
    document: ordered({ authority: 'plant-00000000' }),
    refused: { reason: 'other-fleet' },
  },
  'another fleet’s policy, assigned': {
    document: body({ authority: 'plant-00000000' }),
    state: stateAfter(assigned({ digest: body({ authority: 'plant-00000000' }).digest })),
    refused: { reason: 'other-fleet' },
  },
  'another fleet’s root': {
    document: rooted({ version: 2, authority: 'plant-00000000' }),
    refused: { reason: 'other-fleet' },
  },
  // When.
  'expired by a synchronised clock': {
    document: assigned(),
    now: { synchronisedMs: ISSUED_MS + 7 * DAY_MS },
    refused: { reason: 'expired', acceptUntilMs: ISSUED_MS + 7 * DAY_MS },
  },
  'expired by the newest verified document, with the clock in 1970': {
    document: assigned({ sequence: 2, accept_until_ms: ISSUED_MS + 1000 }),
    state: stateAfter(ordered({ issued_ms: ISSUED_MS + 1000, action: { do: 'unfreeze' } })),
    now: { synchronisedMs: null },
    refused: { reason: 'expired', nowMs: ISSUED_MS + 1000 },
  },
  'anything, by a clock that was synchronised to a wrong time': {
    document: assigned({ issued_ms: ISSUED_MS - 3 * DAY_MS, accept_until_ms: ISSUED_MS - 2 * DAY_MS }),
    now: { synchronisedMs: 1000 * DAY_MS },
    refused: { reason: 'issued-ahead' },
  },
  'expired by the root, with no clock': {
    document: assigned({ issued_ms: ISSUED_MS - 3 * DAY_MS, accept_until_ms: ISSUED_MS - 2 * DAY_MS }),
    now: { synchronisedMs: null },
    refused: { reason: 'expired', nowMs: ISSUED_MS - DAY_MS },
  },
  'an expired order': {
    document: ordered(),
    now: { synchronisedMs: ISSUED_MS + DAY_MS },
    refused: { reason: 'expired' },
  },
  'a policy held back until its assignment has expired': {
    document: BODY,
    state: running,
    now: { synchronisedMs: ISSUED_MS + 8 * DAY_MS },
    refused: { reason: 'expired' },
  },
  'issued in the future, so that nothing after it counts': {
    document: assigned({ issued_ms: ISSUED_MS + 3 * DAY_MS }),
    refused: { reason: 'issued-ahead' },
  },
  'acceptable for ever': {
    document: assigned({ accept_until_ms: ISSUED_MS + 400 * DAY_MS }),
    refused: { reason: 'malformed', field: 'accept_until_ms' },
  },
  // Stolen keys.
  'a stolen assign key signs a policy': {
    document: body({ note: 'mine' }, [assign]),
    state: running,
    refused: { reason: 'signatures', role: 'policy', unknown: 1 },
  },
  'a stolen assign key names a policy that nobody signed, and brings it': {
    document: body({ note: 'mine' }, [assign, assign]),
    state: stateAfter(assigned({ digest: body({ note: 'mine' }).digest })),
    refused: { reason: 'signatures', role: 'policy', signedBy: [] },
  },
  'a stolen assign key writes a policy into its assignment': {
    document: sentRaw([assign], 'assignment', json({ ...assignment(), policy: policy().policy })),
    refused: { reason: 'malformed' },
  },
  'a stolen assign key signs an order': {
    document: ordered({}, assign),
    refused: { reason: 'signatures', role: 'ops' },
  },
  'a stolen assign key signs a root': {
    document: rooted({ version: 2 }, [assign]),
    refused: { reason: 'signatures', role: 'root', needed: 2 },
  },
  'a stolen assign key lets a trial last for hours': {
    document: sentRaw([assign], 'assignment', json(assignment({ trial: { confirm_within_ms: 3_600_001 } }))),
    refused: { reason: 'malformed', field: 'trial.confirm_within_ms' },
  },
  'a stolen ops key signs an assignment': {
    document: assigned({}, ops),
    refused: { reason: 'signatures', role: 'assign' },
  },
  'a stolen ops key signs a policy': {
    document: body({}, [ops]),
    state: running,
    refused: { reason: 'signatures', role: 'policy' },
  },
  'a stolen ops key writes a digest into its order': {
    document: sentRaw([ops], 'order', json({ ...order(), action: { do: 'revert', digest: other.digest } })),
    refused: { reason: 'malformed', field: 'action' },
  },
  'a stolen ops key writes a policy into its order': {
    document: sentRaw([ops], 'order', json({ ...order(), policy: policy().policy })),
    refused: { reason: 'malformed' },
  },
  'policy keys assign': {
    document: assigned({}, policyKey),
    refused: { reason: 'signatures', role: 'assign' },
  },
  // Roots.
  'a root that skips a version': {
    document: rooted({ version: 3 }),
    refused: { reason: 'root-skipped', version: 3, expected: 2 },
  },
  'another root of the version in force': {
    document: rooted({
      roles: { ...root().roles, ops: role([stranger]) },
      keys: { ...root().keys, ...publicKeys([stranger]) },
    }),
    refused: { reason: 'root-changed', version: 1, kept: fresh.trusted.digest },
  },
  'an older root': {
    document: rooted({}),
    state: under2,
    refused: { reason: 'old-root', root: 1, present: 2 },
  },
  'a root by too few keys of the one before': {
    document: rooted({ version: 2, ...newRootKeys() }, [roots[0], ...KEYS.later]),
    refused: { reason: 'signatures', role: 'root', needed: 2, signedBy: [roots[0].keyId] },
  },
  'a root by too few of its own keys': {
    document: rooted({ version: 2, ...newRootKeys() }, [...roots, KEYS.later[0]]),
    refused: { reason: 'signatures', role: 'root', needed: 2, signedBy: [KEYS.later[0].keyId] },
  },
  'a root that goes back to an old term': {
    document: rooted({ version: 3, term: 1 }),
    state: under2,
    refused: { reason: 'old-term', term: 1, present: 2 },
  },
});
