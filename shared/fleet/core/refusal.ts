/** Why a fleet document is not accepted. Each reason is a log field, and tells what to do. */
import type { Role } from './kinds.ts';

/** Keys by what their signatures were worth. */
export interface SignatureCount {
  role: Role;
  needed: number;
  /** Ids of the role's keys whose signature is right, each once. */
  signedBy: readonly string[];
  /** Ids of the role's keys that are named by a signature that is not theirs. */
  wrong: readonly string[];
  /** Signatures that name a key without this role. They are passed over. */
  unknown: number;
}

export type Refusal =
  /** Longer than its bound: the envelope, the signed frame, or what the frame unpacks to. */
  | { reason: 'too-large'; part: 'envelope' | 'packed' | 'content'; bytesMax: number }
  /** Not of the form: the field and the expectation. */
  | { reason: 'malformed'; field: string; problem: string }
  | { reason: 'unknown-type'; payloadType: string }
  /** Fewer keys of the role signed than its threshold. */
  | ({ reason: 'signatures' } & SignatureCount)
  | { reason: 'other-fleet'; authority: string }
  | { reason: 'old-term'; term: number; present: number }
  /** Signed under a root before the present one. */
  | { reason: 'old-root'; root: number; present: number }
  /** Signed under a root that is not here yet: its roots come first, then the document again. */
  | { reason: 'unknown-root'; root: number; present: number }
  | { reason: 'root-skipped'; version: number; expected: number }
  /** Another root of the version that is in force: an equivocation of the root keys. */
  | { reason: 'root-changed'; version: number; kept: string; other: string }
  /** The first root is not the one that was pinned. */
  | { reason: 'not-pinned'; pinned: string; found: string }
  | { reason: 'other-gateway'; gateway: string }
  | { reason: 'other-group'; group: string }
  /** The same bytes are in force already. */
  | { reason: 'repeated' }
  /** Older than the highest accepted one. */
  | { reason: 'superseded'; sequence: number; highest: number }
  /** Two documents with one place in the order: the first one stays, and both digests are reported. */
  | { reason: 'equivocation'; sequence: number; kept: string; other: string }
  | { reason: 'fast-forward'; sequence: number; highest: number }
  | { reason: 'issued-ahead'; issuedMs: number; nowMs: number }
  | { reason: 'expired'; acceptUntilMs: number; nowMs: number }
  /** The gateway rolled this policy back before. */
  | { reason: 'failed-before'; digest: string }
  | { reason: 'frozen' }
  /** A policy that no accepted assignment asks for. */
  | { reason: 'not-assigned'; digest: string; assigned: string | null };

/** The refusal in a sentence without its end. */
export function refusalText(refusal: Refusal): string {
  switch (refusal.reason) {
    case 'too-large':
      return `the ${refusal.part} is larger than ${refusal.bytesMax} bytes`;
    case 'malformed':
      return refusal.field === '' ? refusal.problem : `${refusal.field}: ${refusal.problem}`;
    case 'unknown-type':
      return `payloadType ${JSON.stringify(refusal.payloadType)} is no fleet document`;
    case 'signatures':
      return signaturesText(refusal);
    case 'other-fleet':
      return `of another fleet, ${refusal.authority}`;
    case 'old-term':
      return `of term ${refusal.term}, and the present term is ${refusal.present}`;
    case 'old-root':
      return `signed under root ${refusal.root}, and root ${refusal.present} is in force`;
    case 'unknown-root':
      return `signed under root ${refusal.root}, and root ${refusal.present} is in force: the roots between come first`;
    case 'root-skipped':
      return `root ${refusal.version} skips a version: root ${refusal.expected} comes next`;
    case 'root-changed':
      return `another root ${refusal.version} is in force (${refusal.kept}), and this one is ${refusal.other}`;
    case 'not-pinned':
      return `root ${refusal.found} is not the pinned one, ${refusal.pinned}`;
    case 'other-gateway':
      return `for the gateway ${refusal.gateway}`;
    case 'other-group':
      return `for the group ${refusal.group}`;
    default:
      return acceptanceText(refusal);
  }
}

type OfForm = Extract<
  Refusal['reason'],
  | 'too-large'
  | 'malformed'
  | 'unknown-type'
  | 'signatures'
  | 'other-fleet'
  | 'old-term'
  | 'old-root'
  | 'unknown-root'
  | 'root-skipped'
  | 'root-changed'
  | 'not-pinned'
  | 'other-gateway'
  | 'other-group'
>;

function acceptanceText(refusal: Exclude<Refusal, { reason: OfForm }>): string {
  switch (refusal.reason) {
    case 'repeated':
      return 'in force already';
    case 'superseded':
      return `sequence ${refusal.sequence} is older than ${refusal.highest}, which is accepted`;
    case 'equivocation':
      return `sequence ${refusal.sequence} has two contents: ${refusal.kept} is accepted, and this one is ${refusal.other}`;
    case 'fast-forward':
      return `sequence ${refusal.sequence} is implausibly far above ${refusal.highest}`;
    case 'issued-ahead':
      return `issued ${seconds(refusal.issuedMs - refusal.nowMs)} s in the future`;
    case 'expired':
      return `could be accepted until ${seconds(refusal.nowMs - refusal.acceptUntilMs)} s ago`;
    case 'failed-before':
      return `policy ${refusal.digest} failed here before`;
    case 'frozen':
      return 'the gateway is frozen: it takes nothing but roots and orders';
    case 'not-assigned':
      return refusal.assigned === null
        ? `policy ${refusal.digest} is not assigned`
        : `policy ${refusal.digest} is not the assigned one, ${refusal.assigned}`;
  }
}

function signaturesText({ role, needed, signedBy, wrong, unknown }: SignatureCount): string {
  const parts = [`${signedBy.length} of ${needed} needed signatures of the role ${role}`];
  if (wrong.length > 0) parts.push(`wrong: ${wrong.join(', ')}`);
  if (unknown > 0) parts.push(`${unknown} of keys without the role`);
  return parts.join('; ');
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
