/** The options of the ledger: the engine with its own options, and those of every engine. */
import { z } from 'zod';
import { byteSize, duration } from '../../shared/config/kinds.ts';
import { encryptionKey } from '../../shared/sqlite/encryption-key.ts';
import { jetStreamOptions } from './jetstream/options.ts';
import { postgresOptions } from './postgres/options.ts';
import { CONFLICT_POLICIES } from './rules/conflict-policy.ts';

const DAY_MS = 86_400_000;

/** `ledger` of router.yaml, by engine. */
export const ledgerOptions = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('sqlite').describe('Embedded, in data_dir: one router.'),
      encryption_key: encryptionKey()
        .optional()
        .describe(
          'Encrypts the ledger’s file with this key, 32 random bytes as 64 hex digits or base64; give it as a reference to a file. Needs the package better-sqlite3-multiple-ciphers. Default: the file is in clear.',
        ),
    }),
    postgresOptions
      .safeExtend({ type: z.literal('postgres').describe('PostgreSQL 15 or newer: any number of routers.') })
      .strict(),
    jetStreamOptions
      .safeExtend({
        type: z.literal('jetstream').describe('NATS JetStream 2.9 or newer: any number of routers.'),
      })
      .strict(),
  ])
  .describe('The engine of the ledger, with its options.');

export type LedgerOptions = z.output<typeof ledgerOptions>;

/** `dead_letters` of router.yaml. */
export const deadLetterLimits = z
  .strictObject({
    max_bytes: byteSize()
      .default(64 * 2 ** 20)
      .describe(
        'Most bytes of dead letters, with names, properties and overhead; beyond, the oldest of the gateways that hold most are removed.',
      ),
    max_age: duration()
      .default(30 * DAY_MS)
      .describe('How long a dead letter is kept.'),
  })
  .describe('Messages that are no valid envelope for this ledger, kept for headgate deadletter.');

export type DeadLetterLimits = z.output<typeof deadLetterLimits>;

/** The streams of a rule: a name, in which `*` stands for any characters. */
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
          .describe('Age by the time of receipt; records leave within the hour after.'),
        max_bytes: byteSize()
          .optional()
          .describe(
            'Most bytes of all these streams together, with devices, topics and 48 bytes a record and 80 an envelope; beyond, the gateways that hold most give up their own oldest, and the current hour stays.',
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
    'Which version stands when two records with one id differ; the first match counts. Default: keep-first.',
  );

export type ConflictRules = z.output<typeof conflictRules>;
