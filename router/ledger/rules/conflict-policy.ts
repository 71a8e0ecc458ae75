/**
 * Which version stands in the ledger when two records with one id differ (I6). Under every policy both
 * versions are held or kept aside, the conflict is counted and logged, and no version is changed.
 */
import { matchesPattern } from './stream-pattern.ts';

export const CONFLICT_POLICIES = ['keep-first', 'last-write-wins', 'quarantine'] as const;

export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

/** By the stream's name. */
export type ConflictPolicyOf = (stream: string) => ConflictPolicy;

/** A rule of router.yaml. */
export interface ConflictRule {
  /** Name of the streams; `*` stands for any characters. */
  streams: string;
  policy: ConflictPolicy;
}

export const KEEP_FIRST: ConflictPolicyOf = () => 'keep-first';

/** The first rule that matches decides; keep-first where none does. */
export function conflictPolicyOf(rules: readonly ConflictRule[]): ConflictPolicyOf {
  return (stream) => rules.find(({ streams }) => matchesPattern(streams, stream))?.policy ?? 'keep-first';
}
