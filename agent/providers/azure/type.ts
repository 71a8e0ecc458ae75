/** Azure IoT Hub as a provider type. */
import { z } from 'zod';
import { type AzureSheet, type AzureTariff, azurePrices, HUB_TIERS } from '../../../shared/pricing/azure.ts';
import { certificateValidity } from '../certificates.ts';
import { certificateNames, foreignNames, leafOf, type ToldName } from '../identity-check.ts';
import {
  type CheckSite,
  identityOption,
  type ProviderIssue,
  type ProviderType,
  providerCommon,
} from '../provider-type.ts';
import { parseConnectionString, sasExpiryMs } from './connection-string.ts';
import { AZURE_ENVELOPE_BYTES_MAX, azureNetworkProblem, azureOptions } from './options.ts';
import { AZURE_REGIONS } from './regions.ts';

const hub = {
  hub_tier: z.enum(HUB_TIERS).default('S1').describe('Pricing tier of the hub.'),
  hub_units: z.int().min(1).max(200).default(1).describe('Number of units of the hub’s tier.'),
};

const entry = azureOptions
  .safeExtend({
    type: z.literal('azure').describe('Azure IoT Hub, over MQTT with TLS.'),
    ...providerCommon,
    ...identityOption,
    ...hub,
  })
  .strict()
  .superRefine(azureNetworkProblem);

type Entry = z.output<typeof entry>;

export const azureType: ProviderType<Entry, AzureSheet> & { entry: typeof entry } = {
  type: 'azure',
  doc: { name: 'Azure IoT Hub', transport: 'MQTT over TLS' },
  entry,
  prices: azurePrices,
  tariff({ account_share: share, hub_tier: tier, hub_units: hubUnits }, sheet): AzureTariff {
    return { type: 'azure', sheet, share, tier, hubUnits };
  },
  credentials: {
    next: ({ next_credentials: next, ...rest }) => (next ? { ...rest, credentials: next } : null),
    files: ({ credentials: { x509 } }) => (x509 ? [x509.cert_file, x509.key_file] : []),
    async validity({ credentials: { x509, connection_string } }, nowMs) {
      if (x509) return certificateValidity(x509.cert_file);
      const untilMs = sasExpiryMs(connection_string ?? '');
      return untilMs === null ? null : { fromMs: nowMs, untilMs };
    },
  },
  regions: AZURE_REGIONS,
  check,
  maxEnvelopeBytes: () => AZURE_ENVELOPE_BYTES_MAX,
  open: async (options, deps) => (await import('./publisher.ts')).openAzurePublisher(options, deps),
};

/** IoT Hub reports the device to the router. A certificate of an authority is valid only for its device. */
function check(entry: Entry, site: CheckSite): ProviderIssue[] {
  const told: ToldName[] = [];
  const refused: ProviderIssue[] = [];
  if (entry.device_id !== undefined)
    told.push({ path: ['device_id'], what: 'the device', name: entry.device_id });
  for (const slot of ['credentials', 'next_credentials'] as const) {
    const { x509, connection_string } = entry[slot] ?? {};
    const own = x509?.device_id ?? parseConnectionString(connection_string ?? '')?.deviceId;
    const path = [slot, ...(x509 ? ['x509', 'device_id'] : ['connection_string'])];
    if (entry.device_id === undefined && own !== undefined)
      told.push({ path, what: 'the device', name: own });
    refused.push(...otherDevice(slot, x509?.cert_file, entry.device_id ?? own, site));
  }
  return [...foreignNames(told, entry.identity, site.gateway), ...refused];
}

/** The hub knows a self-signed certificate by its thumbprint, so the certificate's name is not compared. */
function otherDevice(
  slot: string,
  file: string | undefined,
  device: string | undefined,
  site: CheckSite,
): ProviderIssue[] {
  const leaf = leafOf(file === undefined ? null : site.read(file));
  if (leaf === null || leaf.subject === leaf.issuer) return [];
  return certificateNames(file, [slot, 'x509', 'cert_file'], site)
    .filter(({ name }) => name !== device)
    .map(({ path, name }) => ({
      path,
      message: `the common name of the certificate is "${name}", the device is "${device}": IoT Hub refuses it`,
      hint: `use a certificate for "${device}", or the device "${name}"`,
    }));
}
