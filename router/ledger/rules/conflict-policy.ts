/**
 * What stands in the ledger when a second content comes under one record id (I6). Whatever the policy, both
 * versions are kept aside or held, the conflict is counted and logged, and neither is changed.
 */
import { z } from 'zod';
import { matchesPattern, streamPattern } from '../stream-pattern.ts';

const CONFLICT_POLICIES = ['keep-first', 'last-write-wins', 'quarantine'] as const;

export type ConflictPolicy = (typeof CONFLICT_POLICIES)[number];

/** By the stream's name. */
export type ConflictPolicyOf = (stream: string) => ConflictPolicy;

export const KEEP_FIRST: ConflictPolicyOf = () => 'keep-first';

/** `conflicts` of router.yaml. */
export const conflictRules = z
  .array(
    z.strictObject({
      streams: streamPattern(),
      policy: z
        .enum(CONFLICT_POLICIES)
        .describe(
          'keep-first: what came first stands. last-write-wins: what came last stands, and feeds get it too. quarantine: neither stands; both are kept aside.',
        ),
    }),
  )
  .default([])
  .describe(
    'What stands when two contents come under one record id; the first match counts. Default: keep-first.',
  );

export function conflictPolicyOf(rules: z.output<typeof conflictRules>): ConflictPolicyOf {
  return (stream) => rules.find(({ streams }) => matchesPattern(streams, stream))?.policy ?? 'keep-first';
}
