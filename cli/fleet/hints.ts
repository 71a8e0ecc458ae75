/** Hints about a fleet document that is not accepted. */
import type { Refusal } from '../../shared/fleet/core/refusal.ts';

type Reason = Refusal['reason'];

const HINTS: Readonly<Record<Reason, string>> = {
  'too-large': 'make it smaller, and sign it again',
  malformed: 'have it made and signed again: an edit breaks the signature anyway',
  'unknown-type': 'take the file out of the folder, or use a newer headgate',
  signatures: 'have it signed by keys that the root in force gives this role',
  'other-fleet': 'take the file out of this fleet’s folder',
  'old-term': 'issue it anew under the root in force',
  'old-root': 'issue it anew under the root in force',
  'unknown-root': 'put the missing roots into the folder root',
  'root-skipped': 'put the missing root into the folder root',
  'root-changed': 'find out which of the two the gateways have, and who signed the other',
  'not-pinned': 'compare --root with the README of the folder and with a gateway; do not use this folder',
  'other-gateway': 'nothing: it is not for this gateway',
  'other-group': 'nothing: it is not for this gateway',
  repeated: 'nothing: it is in force',
  superseded: 'nothing: a newer one is in force',
  equivocation: 'find out who signed the second; then issue a new sequence',
  'fast-forward':
    'find out who signed it: a key may be stolen. A new root without that key begins new sequences',
  'issued-ahead': 'set the clock of the machine that issued it, and issue it anew',
  expired: 'issue it anew',
  'failed-before': 'change the policy: a policy that failed never runs there again',
  frozen: 'end the freeze by an order first',
  'not-assigned': 'nothing: no assignment asks for it',
};

/** Refusals that the protection of a gateway has all the time, and that are no mistake of a folder. */
const USUAL: ReadonlySet<Reason> = new Set([
  'other-gateway',
  'other-group',
  'repeated',
  'superseded',
  'expired',
  'frozen',
  'not-assigned',
  'old-root',
  'old-term',
]);

export function hintOf({ reason }: Refusal): string {
  return HINTS[reason];
}

export function isMistake({ reason }: Refusal): boolean {
  return !USUAL.has(reason);
}
