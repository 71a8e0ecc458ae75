/** The kinds of fleet documents, and the role that signs each. */

/**
 * Roles by the documents that their keys may sign. `root`: new roots. `ops`: orders, which never bring a
 * policy.
 */
export type Role = 'root' | 'policy' | 'assign' | 'ops';

export type DocumentKind = 'root' | 'policy' | 'assignment' | 'order';

/**
 * DSSE payload types. They are signed with the payload, so that a document of one kind never counts for one
 * of another kind, though one key may have all roles.
 */
export const PAYLOAD_TYPES: Readonly<Record<DocumentKind, string>> = {
  root: 'application/vnd.headgate.fleet.root',
  policy: 'application/vnd.headgate.fleet.policy',
  assignment: 'application/vnd.headgate.fleet.assignment',
  order: 'application/vnd.headgate.fleet.order',
};

export const SIGNED_BY: Readonly<Record<DocumentKind, Role>> = {
  root: 'root',
  policy: 'policy',
  assignment: 'assign',
  order: 'ops',
};

/** Null for a type of something else. */
export function kindOf(payloadType: string): DocumentKind | null {
  switch (payloadType) {
    case PAYLOAD_TYPES.root:
      return 'root';
    case PAYLOAD_TYPES.policy:
      return 'policy';
    case PAYLOAD_TYPES.assignment:
      return 'assignment';
    case PAYLOAD_TYPES.order:
      return 'order';
    default:
      return null;
  }
}
