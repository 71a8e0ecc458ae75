/** What routing needs to know of a configured provider, from the config and its tariff. */
import type { ProviderFacts } from '../../shared/policy/policy.ts';
import type { Tariff } from '../../shared/pricing/tariff.ts';
import type { ProviderEntry } from '../providers/provider-type.ts';

/**
 * A provider without a region (a broker of one's own) is in none: it takes no stream that has a residency
 * (I4).
 */
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
