/** How attacks are told and played: a document, the gateway that gets it, and why it refuses. */
import t from 'tap';
import { accept, type FleetState, type Member, type Now } from '../../../shared/fleet/core/acceptance.ts';
import type { Refusal } from '../../../shared/fleet/core/refusal.ts';
import {
  assignment,
  CONTEXT,
  ISSUED_MS,
  KEYS,
  order,
  policy,
  root,
  type Sent,
  sent,
  stateAfter,
} from './bytes.ts';

interface Attack {
  document: Sent;
  refused: Partial<Refusal> & Pick<Refusal, 'reason'>;
  state?: FleetState;
  member?: Member;
  now?: Now;
}

const { roots, policies, assign, ops } = KEYS;

export const assigned = (changes: Parameters<typeof assignment>[0] = {}, by = assign): Sent =>
  sent([by], { kind: 'assignment', content: assignment(changes) });
export const ordered = (changes: Parameters<typeof order>[0] = {}, by = ops): Sent =>
  sent([by], { kind: 'order', content: order(changes) });
export const body = (
  changes: Parameters<typeof policy>[0] = {},
  by: readonly (typeof assign)[] = policies,
): Sent => sent(by, { kind: 'policy', content: policy(changes) });
export const rooted = (changes: Parameters<typeof root>[0], by: readonly (typeof assign)[] = roots): Sent =>
  sent(by, { kind: 'root', content: root(changes) });
export const json = (value: unknown): string => JSON.stringify(value);

/** A gateway with its root alone. */
export const fresh = stateAfter();
/** One that accepted an assignment and an order of sequence 5. */
export const running = stateAfter(
  assigned({ sequence: 5 }),
  ordered({ sequence: 5, action: { do: 'unfreeze' } }),
);
/** One with root 2 of term 2. */
export const under2 = stateAfter(rooted({ version: 2, term: 2, issued_ms: ISSUED_MS }));
/** A policy that no assignment here names. */
export const other = body({ note: 'another' });

/** A test for each: it is refused for that reason, and the state stays. */
export function runAttacks(attacks: Readonly<Record<string, Attack>>): void {
  for (const [name, { document, refused, state = fresh, ...context }] of Object.entries(attacks)) {
    t.test(name, async (t) => {
      const before = structuredClone(state);
      const decision = accept(state, document.text, { ...CONTEXT, ...context });
      t.match(decision, { refusal: refused });
      t.notOk('state' in decision);
      t.strictSame(state, before, 'the state is as it was');
      t.notMatch(json(decision), /linger/, 'no refusal quotes a policy');
    });
  }
}
