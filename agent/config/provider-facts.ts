/** The routing core's facts of a configured provider, from the configuration and its tariff. */
import type { ProviderFacts } from '../../shared/policy/policy.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { ProviderEntry } from '../providers/provider-type.ts';

/** A provider without a region (a private broker) takes no stream with a residency (I4). */
const NO_REGION = 'none';

export function providerFacts(config: ProviderEntry, tariff: Tariff): ProviderFacts {
  const { sheet } = tariff;
  return {
    name: config.name,
    type: config.type,
    region: config.region ?? NO_REGION,
    enabled: config.enabled,
    priority: config.priority,
    slaPercent: sheet.sla_percent.value,
    certifications: sheet.certifications.map(({ name }) => name),
    tariff,
  };
}
