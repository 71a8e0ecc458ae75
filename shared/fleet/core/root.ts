/**
 * The chain of roots, as TUF has it (theupdateframework.github.io/specification, 5.3): root N + 1 counts when
 * the root keys of N and of N + 1 signed it, each up to its own threshold. No version is skipped, so that
 * every change of keys is one that the keys before it agreed to.
 */
import { contentOf, type KnownEnvelope, readDocument, roleKeys } from './content.ts';
import type { Root } from './documents.ts';
import { countSignatures, tooFew, type Verifier } from './envelope.ts';
import type { Refusal } from './refusal.ts';

/** A root in force. */
export interface TrustedRoot {
  readonly root: Root;
  readonly digest: string;
}

export type RootReading = (TrustedRoot & { signedBy: readonly string[] }) | { refusal: Refusal };

/**
 * The first root of a gateway. Its own keys sign it, which proves nothing about whose they are: `pinned`
 * does, the digest that the operator brought. Null believes any root, as only an inspection may.
 */
export function firstRoot(opened: KnownEnvelope, pinned: string | null, verifier: Verifier): RootReading {
  const content = contentOf('root', opened.envelope, verifier);
  if ('refusal' in content) return content;
  const { document } = content;
  if (opened.kind !== 'root' || document.kind !== 'root') return { refusal: notARoot() };
  const { root, digest } = document;
  if (pinned !== null && digest !== pinned)
    return { refusal: { reason: 'not-pinned', pinned, found: digest } };
  const count = countSignatures(opened.envelope, roleKeys(root, 'root'), verifier);
  const refusal = tooFew(count);
  return refusal === null ? { root, digest, signedBy: count.signedBy } : { refusal };
}

/** The root after the present one. */
export function nextRoot(present: TrustedRoot, opened: KnownEnvelope, verifier: Verifier): RootReading {
  const read = readDocument(opened, present.root, verifier);
  if ('refusal' in read) return read;
  const { document } = read;
  if (document.kind !== 'root') return { refusal: notARoot() };
  const { root, digest } = document;
  const refusal = unfit(present, { root, digest });
  if (refusal !== null) return { refusal };
  const own = countSignatures(opened.envelope, roleKeys(root, 'root'), verifier);
  const missing = tooFew(own);
  if (missing !== null) return { refusal: missing };
  return { root, digest, signedBy: [...new Set([...read.signedBy, ...own.signedBy])] };
}

function unfit({ root: present, digest: kept }: TrustedRoot, { root, digest }: TrustedRoot): Refusal | null {
  if (root.authority !== present.authority) return { reason: 'other-fleet', authority: root.authority };
  const { version } = root;
  if (version === present.version)
    return digest === kept
      ? { reason: 'repeated' }
      : { reason: 'root-changed', version, kept, other: digest };
  if (version < present.version) return { reason: 'old-root', root: version, present: present.version };
  const expected = present.version + 1;
  if (version > expected) return { reason: 'root-skipped', version, expected };
  if (root.term < present.term) return { reason: 'old-term', term: root.term, present: present.term };
  return null;
}

function notARoot(): Refusal {
  return { reason: 'malformed', field: 'payloadType', problem: 'expected a root' };
}
