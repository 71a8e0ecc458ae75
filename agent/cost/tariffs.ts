/**
 * The tariff of each configured provider: its price sheet, with the operator's own figures in place, and what
 * the account is.
 */
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { type ConfigResult, loadConfig, type ReferenceSources } from '../../shared/config/load.ts';
import { OWN_SHEET_SCHEMAS, PRICE_SHEETS } from '../../shared/pricing/prices.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { AgentConfig, ProviderConfig } from '../config/config.ts';
import type { MeteredProvider } from './meter.ts';

/** The three levels that a rule's topic begins with ("Basic Ingest", AWS IoT Core developer guide). */
const BASIC_INGEST = /^\$aws\/rules\/[^/]+/;

/** By name of the provider, or every mistake in the price sheets that the providers of `agentFile` name. */
export function loadTariffs(
  agentFile: string,
  providers: readonly ProviderConfig[],
  sources: ReferenceSources,
): ConfigResult<ReadonlyMap<string, Tariff>> {
  const results = providers.map((provider) => {
    const { price_sheet: sheet } = provider;
    const file = sheet === undefined ? null : resolve(dirname(agentFile), sheet);
    return { name: provider.name, result: tariffOf(provider, file, sources) };
  });
  const problems = results.flatMap(({ result }) => (result.ok ? [] : result.problems));
  if (problems.length > 0) return { ok: false, problems };
  const tariffs = results.flatMap(
    ({ name, result }): Array<[string, Tariff]> => (result.ok ? [[name, result.config]] : []),
  );
  return { ok: true, config: new Map(tariffs) };
}

export function tariffNamed({ tariffs }: AgentConfig, provider: string): Tariff {
  const tariff = tariffs.get(provider);
  if (!tariff) throw new Error(`no tariff for provider ${provider}`);
  return tariff;
}

/** What the meter needs to know of them. Only AWS and brokers have topics that are metered. */
export function meteredProviders(
  config: AgentConfig,
  providers: readonly ProviderConfig[],
): Map<string, MeteredProvider> {
  return new Map(
    providers.map((provider) => {
      const topicPrefix = 'topic_prefix' in provider ? provider.topic_prefix : '';
      return [provider.name, { tariff: tariffNamed(config, provider.name), topicPrefix }];
    }),
  );
}

function tariffOf(
  config: ProviderConfig,
  file: string | null,
  sources: ReferenceSources,
): ConfigResult<Tariff> {
  const { account_share: share } = config;
  const own = <Schema extends z.ZodType>(schema: Schema, shipped: z.output<Schema>) =>
    file === null ? ({ ok: true, config: shipped } as const) : loadConfig(file, schema, sources);
  switch (config.type) {
    case 'aws': {
      const basicIngest = BASIC_INGEST.test(config.topic_prefix);
      return mapped(own(OWN_SHEET_SCHEMAS.aws, PRICE_SHEETS.aws), (sheet) => ({
        type: 'aws',
        sheet,
        share,
        basicIngest,
      }));
    }
    case 'azure': {
      const { hub_tier: tier, hub_units: hubUnits } = config;
      return mapped(own(OWN_SHEET_SCHEMAS.azure, PRICE_SHEETS.azure), (sheet) => ({
        type: 'azure',
        sheet,
        share,
        tier,
        hubUnits,
      }));
    }
    case 'gcp':
      return mapped(own(OWN_SHEET_SCHEMAS.gcp, PRICE_SHEETS.gcp), (sheet) => ({ type: 'gcp', sheet, share }));
    case 'mqtt':
      return mapped(own(OWN_SHEET_SCHEMAS.mqtt, PRICE_SHEETS.mqtt), (sheet) => ({
        type: 'mqtt',
        sheet,
        share,
      }));
    case 'https':
      return mapped(own(OWN_SHEET_SCHEMAS.https, PRICE_SHEETS.https), (sheet) => ({
        type: 'https',
        sheet,
        share,
      }));
  }
}

function mapped<Sheet>(result: ConfigResult<Sheet>, tariff: (sheet: Sheet) => Tariff): ConfigResult<Tariff> {
  return result.ok ? { ok: true, config: tariff(result.config) } : result;
}
