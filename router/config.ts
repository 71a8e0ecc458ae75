/**
 * The schema of router.yaml, the configuration of one cloud router. docs/reference/configuration.md is
 * generated from it.
 */
import { z } from 'zod';
import { adminSchema, dataDir, logSchema, uniqueNames } from '../shared/config/common.ts';
import {
  type ConfigResult,
  loadConfig,
  type ReferenceSources,
  systemSources,
} from '../shared/config/load.ts';
import { feedSchema } from './feeds/open.ts';
import { conflictRules, deadLetterLimits, ledgerOptions, retentionRules } from './ledger/options.ts';
import { receiptsSchema } from './receipts/options.ts';
import { sourceSchema } from './sources/open.ts';

export const routerConfigSchema = z.strictObject({
  data_dir: dataDir(),
  log: logSchema.prefault({}),
  admin: adminSchema(9465).prefault({}),
  sources: uniqueNames(z.array(sourceSchema).min(1), 'source').describe('The clouds this router reads from.'),
  receipts: receiptsSchema,
  ledger: ledgerOptions.prefault({ type: 'sqlite' }),
  conflicts: conflictRules,
  retention: retentionRules,
  dead_letters: deadLetterLimits.prefault({}),
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
