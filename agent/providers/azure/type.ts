/** Azure IoT Hub as a provider type. */
import { z } from 'zod';
import { type AzureSheet, type AzureTariff, azurePrices, HUB_TIERS } from '../../../shared/pricing/azure.ts';
import { certificateValidity } from '../certificates.ts';
import { type ProviderType, providerCommon } from '../provider-type.ts';
import { sasExpiryMs } from './connection-string.ts';
import { AZURE_ENVELOPE_BYTES_MAX, azureOptions } from './options.ts';

const hub = {
  hub_tier: z.enum(HUB_TIERS).default('S1').describe('Pricing tier of the hub.'),
  hub_units: z.int().min(1).max(200).default(1).describe('Number of units of the hub’s tier.'),
};

const entry = azureOptions.safeExtend({ type: z.literal('azure'), ...providerCommon, ...hub }).strict();

export const azureType: ProviderType<z.output<typeof entry>, AzureSheet> & { entry: typeof entry } = {
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
  maxEnvelopeBytes: () => AZURE_ENVELOPE_BYTES_MAX,
  open: async (options, deps) => (await import('./publisher.ts')).openAzurePublisher(options, deps),
};
