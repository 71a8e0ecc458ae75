/** What router.yaml says of every ledger, whatever its engine. */
import { z } from 'zod';
import { byteSize, duration } from '../../shared/config/kinds.ts';
import { CONFLICT_POLICIES } from './rules/conflict-policy.ts';

/** Which streams a rule is for: a name, in which `*` stands for any characters. */
function streamPattern(): z.ZodString {
  return z
    .string()
    .regex(/^[a-z0-9_*-]{1,64}$/, 'expected the name of a stream; * stands for any characters')
    .describe('Name of the streams; * stands for any characters.');
}

/** `retention` of router.yaml. */
export const retentionRules = z
  .array(
    z
      .strictObject({
        streams: streamPattern(),
        max_age: duration()
          .optional()
          .describe('By the time of receipt; records leave within the hour after.'),
        max_bytes: byteSize()
          .optional()
          .describe(
            'Payloads of all these streams together; the oldest hours leave first, the running one stays.',
          ),
      })
      .refine((rule) => rule.max_age !== undefined || rule.max_bytes !== undefined, {
        message: 'expected max_age, max_bytes or both',
      }),
  )
  .default([])
  .describe(
    'How long the ledger keeps records; the first match counts. Streams without a rule are kept for ever.',
  );

/** `conflicts` of router.yaml. */
export const conflictRules = z
  .array(
    z.strictObject({
      streams: streamPattern(),
      policy: z
        .enum(CONFLICT_POLICIES)
        .describe(
          'keep-first: the first version stands. last-write-wins: the last version stands, and feeds get it too. quarantine: neither stands; both are kept aside.',
        ),
    }),
  )
  .default([])
  .describe(
    'Which version stands when two contents come under one record id; the first match counts. Default: keep-first.',
  );
