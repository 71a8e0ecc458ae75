/**
 * The tariff of each configured provider: its price sheet, the operator's own figures, and the account's
 * circumstances.
 */
import { dirname, resolve } from 'node:path';
import { type ConfigResult, loadConfig, type ReferenceSources } from '../../shared/config/load.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import {
  type ProviderEntry,
  type ProviderType,
  type ProviderTypes,
  typeOf,
} from '../providers/provider-type.ts';
import type { MeteredProvider } from './meter.ts';

/** Tariffs by provider name, or every mistake in the price sheets that the providers of `agentFile` name. */
export function loadTariffs(
  agentFile: string,
  providers: readonly ProviderEntry[],
  { types, sources }: { types: ProviderTypes; sources: ReferenceSources },
): ConfigResult<Tariffs> {
  const results = providers.map((provider) => {
    const { price_sheet: sheet } = provider;
    const file = sheet === undefined ? null : resolve(dirname(agentFile), sheet);
    return { name: provider.name, result: tariffOf(typeOf(types, provider), provider, file, sources) };
  });
  const problems = results.flatMap(({ result }) => (result.ok ? [] : result.problems));
  if (problems.length > 0) return { ok: false, problems };
  const tariffs = results.flatMap(
    ({ name, result }): Array<[string, Tariff]> => (result.ok ? [[name, result.config]] : []),
  );
  return { ok: true, config: new Map(tariffs) };
}

/** By provider name. */
type Tariffs = ReadonlyMap<string, Tariff>;

export function tariffNamed({ tariffs }: { tariffs: Tariffs }, provider: string): Tariff {
  const tariff = tariffs.get(provider);
  if (!tariff) throw new Error(`no tariff for provider ${provider}`);
  return tariff;
}

/** The configured providers as the meter needs them. Only AWS and MQTT brokers meter topics. */
export function meteredProviders(
  config: { tariffs: Tariffs },
  providers: readonly ProviderEntry[],
): Map<string, MeteredProvider> {
  return new Map(
    providers.map(({ name, topic_prefix: topicPrefix = '' }) => [
      name,
      { tariff: tariffNamed(config, name), topicPrefix },
    ]),
  );
}

function tariffOf(
  type: ProviderType,
  provider: ProviderEntry,
  file: string | null,
  sources: ReferenceSources,
): ConfigResult<Tariff> {
  const { shipped, own } = type.prices;
  if (file === null) return { ok: true, config: type.tariff(provider, shipped) };
  const sheet = loadConfig(file, own, sources);
  return sheet.ok ? { ok: true, config: type.tariff(provider, sheet.config) } : sheet;
}
