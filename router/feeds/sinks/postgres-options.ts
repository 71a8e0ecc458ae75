/** Options of the feed type `postgres`. */
import { z } from 'zod';
import { duration } from '../../../shared/config/kinds.ts';
import { postgresOptions } from '../../ledger/postgres/options.ts';

const NAME = /^[a-z_][a-z0-9_]{0,62}$/;
const NAME_EXPECTED = 'expected 1–63 of a–z, 0–9 or "_", not starting with a digit';

export const postgresFeedOptions = z
  .strictObject({
    url: postgresOptions.shape.url,
    schema: z
      .string()
      .regex(NAME, NAME_EXPECTED)
      .default('public')
      .describe('Schema of the tables; created when it is missing.'),
    table: z
      .string()
      .regex(NAME, NAME_EXPECTED)
      .default('headgate_record')
      .describe('Table of the records; created when it is missing.'),
    json: z
      .boolean()
      .default(true)
      .describe(
        'Whether JSON payloads go to the jsonb column, which keeps their values, but not their bytes. false: every payload is stored as bytes.',
      ),
    timeout: duration().default(10_000).describe('Longest wait for a connection or a statement.'),
  })
  .describe('Inserts every record into a table of another PostgreSQL database, exactly once.');

export type PostgresFeedOptions = z.output<typeof postgresFeedOptions>;
