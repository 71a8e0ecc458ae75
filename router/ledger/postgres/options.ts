/** The options of `ledger: { type: postgres }` in router.yaml. */
import { z } from 'zod';
import { duration } from '../../../shared/config/kinds.ts';
import { areUrlPartsEncoded, URL_PARTS_HINT } from '../../../shared/network/url-parts.ts';

export const postgresOptions = z.strictObject({
  url: z
    .url({
      protocol: /^postgres(ql)?$/,
      error: 'expected a URL such as postgres://user@host/database?sslmode=verify-full',
    })
    .refine(areUrlPartsEncoded, URL_PARTS_HINT)
    .describe(
      'URL of the database with user and password, as a reference to the environment or a file. ?sslmode=verify-full for TLS.',
    ),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'expected 1–63 of a–z, 0–9 or "_", not starting with a digit')
    .default('headgate')
    .describe('Schema of the tables; created when it is missing.'),
  connections_max: z
    .int()
    .min(2)
    .max(100)
    .default(4)
    .describe('Most connections of one router to the database.'),
  timeout: duration()
    .default(10_000)
    .describe(
      'Longest wait for a connection or a statement; then the commit fails and the clouds deliver again.',
    ),
});

export type PostgresLedgerConfig = z.output<typeof postgresOptions>;
