/**
 * The gateway's acceptance of documents: a pure function of (state, document, now) (I11). It believes no
 * carrier: documents come late, twice, out of order, from another gateway's ways, or from an enemy.
 *
 * Order is (term, root version, sequence). Assignments and orders each have their own, so that a stolen `ops`
 * key cannot outrun assignments. The state keeps the highest accepted place of each; its owner writes it to
 * the disk before anything follows from it. A new root begins new sequences and a new time, which takes from
 * a stolen key whatever it had run ahead.
 *
 * Time only bounds accepting (I7): the greater of the clock, where it is synchronised, and the newest
 * `issued` of a verified document under the root in force. A gateway in 1970 so has the authority's time.
 */
import { type KnownEnvelope, openDocument, readDocument } from './content.ts';
import type { Assignment, FleetDocument, Order, PolicyBody, Scope } from './documents.ts';
import type { Verifier } from './envelope.ts';
import type { Refusal } from './refusal.ts';
import { firstRoot, nextRoot, type TrustedRoot } from './root.ts';

/**
 * A sequence this far above the highest accepted one is implausible: it counts changes of a fleet, and one
 * each minute takes two years to get there. A stolen key that would run to the end needs 2^33 documents.
 */
const SEQUENCE_JUMP_MAX = 2 ** 20;
/** Clocks of a router and a gateway may differ by this. */
const ISSUED_AHEAD_MS_MAX = 86_400_000;
/** Every gateway is a member. */
export const GROUP_OF_ALL = 'all';

/** The gateway's identity, by its operator's word. */
export interface Member {
  readonly gateway: string;
  /** Besides {@link GROUP_OF_ALL}. */
  readonly groups: readonly string[];
}

/** The highest accepted document of one order. */
export interface Accepted<T> {
  readonly document: T;
  readonly digest: string;
}

export interface FleetState {
  readonly trusted: TrustedRoot;
  /** The newest `issued` of what was verified under the root in force. */
  readonly newestIssuedMs: number;
  readonly assignment: Accepted<Assignment> | null;
  readonly order: Accepted<Order> | null;
  /**
   * The freeze that ends new assignments until an order ends it. One of an order keeps new policies out as
   * well.
   */
  readonly frozenBy: 'order' | 'assignment' | null;
  /** Digests of policies that were rolled back here. The owner keeps the newest 1,024 (I10). */
  readonly failed: ReadonlySet<string>;
}

export interface Now {
  /** The wall clock; null while it is not synchronised. */
  readonly synchronisedMs: number | null;
}

export type Acceptance =
  | { state: FleetState; document: FleetDocument; signedBy: readonly string[] }
  | { refusal: Refusal };

/** The state of a gateway that has nothing but its first root. `pinned`: see {@link firstRoot}. */
export function firstState(text: Uint8Array | string, pinned: string | null, verifier: Verifier): Acceptance {
  const opened = openDocument(text);
  if ('refusal' in opened) return opened;
  const read = firstRoot(opened, pinned, verifier);
  if ('refusal' in read) return read;
  const { root, digest, signedBy } = read;
  const state: FleetState = {
    trusted: { root, digest },
    newestIssuedMs: root.issued_ms,
    assignment: null,
    order: null,
    frozenBy: null,
    failed: new Set(),
  };
  return { state, document: { kind: 'root', digest, root }, signedBy };
}

/** Decides on one document, as it came. Never throws. */
export function accept(
  state: FleetState,
  text: Uint8Array | string,
  { member, now, verifier }: { member: Member; now: Now; verifier: Verifier },
): Acceptance {
  const opened = openDocument(text);
  if ('refusal' in opened) return opened;
  if (opened.kind === 'root') return acceptRoot(state, opened, verifier);
  const read = readDocument(opened, state.trusted.root, verifier);
  if ('refusal' in read) return read;
  const { document, signedBy } = read;
  const next = following(state, document, member, now);
  return 'refusal' in next ? next : { state: next.state, document, signedBy };
}

type Next = { state: FleetState } | { refusal: Refusal };

function acceptRoot(state: FleetState, opened: KnownEnvelope, verifier: Verifier): Acceptance {
  const read = nextRoot(state.trusted, opened, verifier);
  if ('refusal' in read) return read;
  const { root, digest, signedBy } = read;
  const next = { ...state, trusted: { root, digest }, newestIssuedMs: root.issued_ms };
  return { state: next, document: { kind: 'root', digest, root }, signedBy };
}

function following(state: FleetState, document: FleetDocument, member: Member, now: Now): Next {
  switch (document.kind) {
    case 'policy':
      return followingBody(state, document, now);
    case 'assignment':
      return followingAssignment(state, document, member, now);
    case 'order':
      return followingOrder(state, document, member, now);
    case 'root':
      return { refusal: { reason: 'malformed', field: 'payloadType', problem: 'a root' } };
  }
}

function followingAssignment(
  state: FleetState,
  { assignment, digest }: { assignment: Assignment; digest: string },
  member: Member,
  now: Now,
): Next {
  const place = { document: assignment, digest };
  const refusal = misplaced(state, state.assignment, place, member) ?? untimely(state, assignment, now);
  if (refusal !== null) return { refusal };
  if (state.failed.has(assignment.digest))
    return { refusal: { reason: 'failed-before', digest: assignment.digest } };
  if (state.frozenBy !== null) return { refusal: { reason: 'frozen' } };
  const newestIssuedMs = Math.max(state.newestIssuedMs, assignment.issued_ms);
  const frozenBy = assignment.freeze ? 'assignment' : null;
  return { state: { ...state, assignment: place, newestIssuedMs, frozenBy } };
}

function followingOrder(
  state: FleetState,
  { order, digest }: { order: Order; digest: string },
  member: Member,
  now: Now,
): Next {
  const place = { document: order, digest };
  const refusal = misplaced(state, state.order, place, member) ?? untimely(state, order, now);
  if (refusal !== null) return { refusal };
  const newestIssuedMs = Math.max(state.newestIssuedMs, order.issued_ms);
  const frozenBy = frozenAfter(state, order);
  return { state: { ...state, order: place, newestIssuedMs, frozenBy } };
}

function frozenAfter({ frozenBy }: FleetState, { action }: Order): FleetState['frozenBy'] {
  if (action.do === 'freeze') return 'order';
  return action.do === 'unfreeze' ? null : frozenBy;
}

/** A body changes no state: it counts while the accepted assignment asks for it. */
function followingBody(
  state: FleetState,
  { body, digest }: { body: PolicyBody; digest: string },
  now: Now,
): Next {
  const { authority } = state.trusted.root;
  if (body.authority !== authority) return { refusal: { reason: 'other-fleet', authority: body.authority } };
  const assigned = state.assignment?.document ?? null;
  if (assigned === null || (digest !== assigned.digest && digest !== assigned.baseline))
    return { refusal: { reason: 'not-assigned', digest, assigned: assigned?.digest ?? null } };
  if (state.failed.has(digest)) return { refusal: { reason: 'failed-before', digest } };
  // A freeze reverts to the baseline, which so must be able to come.
  if (state.frozenBy === 'order' && digest !== assigned.baseline) return { refusal: { reason: 'frozen' } };
  const refusal = expired(assigned, timeOf(state, now));
  return refusal === null ? { state } : { refusal };
}

/** Whose it is and its place in the order. */
function misplaced(
  { trusted: { root } }: FleetState,
  highest: Accepted<Assignment | Order> | null,
  { document, digest }: Accepted<Assignment | Order>,
  member: Member,
): Refusal | null {
  if (document.authority !== root.authority) return { reason: 'other-fleet', authority: document.authority };
  if (document.term < root.term) return { reason: 'old-term', term: document.term, present: root.term };
  if (document.root < root.version) return { reason: 'old-root', root: document.root, present: root.version };
  if (document.term > root.term || document.root > root.version)
    return { reason: 'unknown-root', root: document.root, present: root.version };
  return foreign(document.scope, member) ?? outOfOrder(highest, { document, digest });
}

function foreign(scope: Scope, { gateway, groups }: Member): Refusal | null {
  if ('gateway' in scope)
    return scope.gateway === gateway ? null : { reason: 'other-gateway', gateway: scope.gateway };
  const isIn = scope.group === GROUP_OF_ALL || groups.includes(scope.group);
  return isIn ? null : { reason: 'other-group', group: scope.group };
}

function outOfOrder(
  last: Accepted<Assignment | Order> | null,
  { document: { term, root, sequence }, digest }: Accepted<Assignment | Order>,
): Refusal | null {
  // Under another root the sequences begin anew; an older root was refused before.
  const isSame = last !== null && last.document.term === term && last.document.root === root;
  const highest = isSame ? last.document.sequence : 0;
  if (sequence > highest + SEQUENCE_JUMP_MAX) return { reason: 'fast-forward', sequence, highest };
  if (!isSame || sequence > highest) return null;
  if (sequence < highest) return { reason: 'superseded', sequence, highest };
  if (digest === last.digest) return { reason: 'repeated' };
  return { reason: 'equivocation', sequence, kept: last.digest, other: digest };
}

function timeOf({ newestIssuedMs }: FleetState, { synchronisedMs }: Now): number {
  return Math.max(newestIssuedMs, synchronisedMs ?? 0);
}

function untimely(state: FleetState, document: Assignment | Order, now: Now): Refusal | null {
  const { issued_ms: issuedMs } = document;
  const { synchronisedMs } = now;
  // Otherwise one document could end the acceptance of all that come after it.
  if (synchronisedMs !== null && issuedMs > synchronisedMs + ISSUED_AHEAD_MS_MAX)
    return { reason: 'issued-ahead', issuedMs, nowMs: synchronisedMs };
  return expired(document, timeOf(state, now));
}

function expired({ accept_until_ms: acceptUntilMs }: Assignment | Order, nowMs: number): Refusal | null {
  return acceptUntilMs > nowMs ? null : { reason: 'expired', acceptUntilMs, nowMs };
}
