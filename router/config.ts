/**
 * The schema of router.yaml, the configuration of one cloud router. docs/reference/configuration.md is
 * generated from it.
 */
import { z } from 'zod';
import { adminSchema, dataDir, logSchema, uniqueNames } from '../shared/config/common.ts';
import { byteSize, duration } from '../shared/config/kinds.ts';
import {
  type ConfigResult,
  loadConfig,
  type ReferenceSources,
  systemSources,
} from '../shared/config/load.ts';
import { feedSchema } from './feeds/open.ts';
import { jetStreamOptions } from './ledger/jetstream/options.ts';
import { conflictRules, retentionRules } from './ledger/options.ts';
import { postgresOptions } from './ledger/postgres/options.ts';
import { receiptsSchema } from './receipts/options.ts';
import { sourceSchema } from './sources/open.ts';

const ledgerSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('sqlite').describe('Embedded, in data_dir: one router.') }),
    postgresOptions
      .safeExtend({ type: z.literal('postgres').describe('PostgreSQL 15 or newer: any number of routers.') })
      .strict(),
    jetStreamOptions
      .safeExtend({
        type: z.literal('jetstream').describe('NATS JetStream 2.9 or newer: any number of routers.'),
      })
      .strict(),
  ])
  .describe('Where the ledger lives.');

const DAY_MS = 86_400_000;

const deadLettersSchema = z
  .strictObject({
    max_bytes: byteSize()
      .default(64 * 2 ** 20)
      .describe('Most bytes of dead letters; the oldest are removed first.'),
    max_age: duration()
      .default(30 * DAY_MS)
      .describe('How long a dead letter is kept.'),
  })
  .describe('Messages that are no valid envelope for this ledger, kept for headgate deadletter.');

export const routerConfigSchema = z.strictObject({
  data_dir: dataDir(),
  log: logSchema.prefault({}),
  admin: adminSchema(9465).prefault({}),
  sources: uniqueNames(z.array(sourceSchema).min(1), 'source').describe('The clouds this router reads from.'),
  receipts: receiptsSchema,
  ledger: ledgerSchema.prefault({ type: 'sqlite' }),
  conflicts: conflictRules,
  retention: retentionRules,
  dead_letters: deadLettersSchema.prefault({}),
  feeds: uniqueNames(z.array(feedSchema), 'feed').default([]).describe('The feeds that follow the ledger.'),
});

export type RouterConfig = z.output<typeof routerConfigSchema>;

/** Reads router.yaml; returns the configuration, or all its errors. */
export function loadRouterConfig(
  file: string,
  sources: ReferenceSources = systemSources,
): ConfigResult<RouterConfig> {
  return loadConfig(file, routerConfigSchema, sources);
}
