/**
 * The schema of router.yaml, the configuration of one cloud router. docs/reference/configuration.md is
 * generated from it.
 */
import { z } from 'zod';
import { adminPlaceSchema, adminSchema, dataDir, logSchema, uniqueNames } from '../shared/config/common.ts';
import {
  type ConfigResult,
  loadConfig,
  loadSections,
  openConfig,
  type ReferenceSources,
  systemSources,
  validateConfig,
} from '../shared/config/load.ts';
import { type FeedConfig, feedSchema } from './feeds/open.ts';
import { envelopeOptions } from './ingest/options.ts';
import { conflictRules, deadLetterLimits, ledgerOptions, retentionRules } from './ledger/options.ts';
import { quotaOptions } from './quotas/options.ts';
import { receiptsSchema } from './receipts/options.ts';
import { sealingOptions } from './sealing/options.ts';
import { accept } from './sources/accept.ts';
import { sourceSchema } from './sources/open.ts';
import { identities } from './sources/source-type.ts';

const gatewaysFile = z
  .string()
  .min(1)
  .optional()
  .describe(
    'YAML with the public keys of gateways, which sign envelopes; headgate keys export prints it. Read again when it changes.',
  );

const signing = z
  .strictObject({
    key_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file (PKCS #8) of the Ed25519 private key. Default: the newest key in <data_dir>/keys, made at the first start.',
      ),
  })
  .describe('The key of this router, which signs receipts; gateways know its public half: headgate keys.');

const routerSections = z.strictObject({
  data_dir: dataDir(),
  log: logSchema.prefault({}),
  admin: adminSchema(9465).prefault({}),
  gateways_file: gatewaysFile,
  signing: signing.prefault({}),
  sealing: sealingOptions.prefault({}),
  sources: uniqueNames(z.array(sourceSchema).min(1), 'source').describe('The clouds this router reads from.'),
  envelopes: envelopeOptions.prefault({}),
  quotas: quotaOptions.prefault({}),
  receipts: receiptsSchema,
  ledger: ledgerOptions.prefault({ type: 'sqlite' }),
  conflicts: conflictRules,
  retention: retentionRules,
  dead_letters: deadLetterLimits.prefault({}),
  feeds: uniqueNames(z.array(feedSchema), 'feed').default([]).describe('The feeds that follow the ledger.'),
});

export const routerConfigSchema = routerSections.superRefine(({ gateways_file: file, sources }, context) => {
  const index = sources.findIndex((source) => source.accept === 'signed');
  if (file !== undefined || index < 0) return;
  context.addIssue({
    code: 'custom',
    path: ['sources', index, 'accept'],
    message: 'no key is known that could have signed',
    params: { hint: 'give gateways_file, beside sources' },
  });
});

export type RouterConfig = z.output<typeof routerConfigSchema>;

/** Reads router.yaml; returns the configuration, or all its errors. */
export function loadRouterConfig(
  file: string,
  sources: ReferenceSources = systemSources,
): ConfigResult<RouterConfig> {
  return loadConfig(file, routerConfigSchema, sources);
}

/** The configuration of commands that maintain the ledger: no secret but the ledger's own. */
const ledgerToolSchema = z.object({
  ...routerSections.pick({
    data_dir: true,
    gateways_file: true,
    sealing: true,
    log: true,
    envelopes: true,
    ledger: true,
    conflicts: true,
    dead_letters: true,
  }).shape,
  admin: adminPlaceSchema(9465).prefault({}),
  sources: z
    .array(
      z.object({ name: z.string(), type: z.string(), region: z.string().optional(), accept, identities }),
    )
    .default([]),
  feeds: z.array(z.object({ name: z.string(), type: z.string() })).default([]),
});

export type LedgerToolConfig = z.output<typeof ledgerToolSchema> & { file: string };

/** Reads the sections of router.yaml that the ledger's commands use, or returns their errors. */
export function loadLedgerToolConfig(
  file: string,
  sources: ReferenceSources = systemSources,
): ConfigResult<LedgerToolConfig> {
  const loaded = loadSections(file, ledgerToolSchema, sources);
  return loaded.ok ? { ok: true, config: { ...loaded.config, file } } : loaded;
}

/** Reads one entry of `feeds` with the secrets of that feed alone. */
export function loadFeedConfig(
  file: string,
  name: string,
  sources: ReferenceSources = systemSources,
): ConfigResult<FeedConfig | null> {
  const names = z.object({ feeds: z.array(z.object({ name: z.string() })).default([]) });
  const listed = loadSections(file, names, sources);
  if (!listed.ok) return listed;
  const index = listed.config.feeds.findIndex((feed) => feed.name === name);
  const opening = openConfig(file, sources, ([section, at]) => section === 'feeds' && at === index);
  if (!opening.ok) return opening;
  let found: FeedConfig | null = null;
  const own = z.object({
    feeds: z.array(z.unknown()).superRefine((feeds, context) => {
      const parsed = feedSchema.safeParse(feeds[index]);
      if (parsed.success) found = parsed.data;
      for (const { path, message } of parsed.error?.issues ?? [])
        context.addIssue({ code: 'custom', path: [index, ...path], message });
    }),
  });
  const checked = validateConfig(opening.opened, own);
  return checked.ok ? { ok: true, config: found } : checked;
}
