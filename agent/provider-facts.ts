/** What routing needs to know of a configured provider, from the config and its kind's price sheet. */
import type { ProviderFacts } from '../shared/policy.ts';
import { PRICE_SHEETS } from '../shared/prices.ts';
import type { ProviderConfig } from './config.ts';

/** A provider without a region (a broker of one's own) is in none: it takes no stream that has a residency (I4). */
const NO_REGION = 'none';

export function providerFacts(config: ProviderConfig): ProviderFacts {
  const sheet = PRICE_SHEETS[config.type];
  return {
    name: config.name,
    type: config.type,
    region: config.region ?? NO_REGION,
    enabled: config.enabled,
    priority: config.priority,
    slaPercent: sheet.sla_percent.value,
    certifications: sheet.certifications.map(({ name }) => name),
  };
}
