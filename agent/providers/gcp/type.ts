/** Google Pub/Sub as a provider type. */
import { z } from 'zod';
import { gcpPlaintextProblem } from '../../../shared/gcp/access-options.ts';
import { type GcpSheet, type GcpTariff, gcpPrices } from '../../../shared/pricing/gcp.ts';
import { otherRegion, type ProviderType, providerCommon } from '../provider-type.ts';
import { GCP_ENVELOPE_BYTES_MAX, gcpOptions } from './options.ts';
import { GCP_REGIONS } from './regions.ts';

const entry = gcpOptions
  .safeExtend({ type: z.literal('gcp').describe('Google Pub/Sub, over gRPC.'), ...providerCommon })
  .strict()
  .superRefine(gcpPlaintextProblem);

export const gcpType: ProviderType<z.output<typeof entry>, GcpSheet> & { entry: typeof entry } = {
  type: 'gcp',
  doc: { name: 'Google Pub/Sub', transport: 'gRPC' },
  entry,
  prices: gcpPrices,
  tariff({ account_share: share }, sheet): GcpTariff {
    return { type: 'gcp', sheet, share };
  },
  credentials: {
    next: ({ next_credentials: next, ...rest }) => (next ? { ...rest, credentials: next } : null),
    files: ({ credentials }) => (credentials && 'key_file' in credentials ? [credentials.key_file] : []),
    validity: async () => null,
  },
  regions: GCP_REGIONS,
  // Pub/Sub does not report the publisher to subscribers: there is no name to compare.
  check: ({ region, endpoint }) =>
    otherRegion(region, /^([a-z]+-[a-z]+\d+)-pubsub\.googleapis\.com/.exec(endpoint ?? '')?.[1]),
  maxEnvelopeBytes: () => GCP_ENVELOPE_BYTES_MAX,
  open: async (options, deps) => (await import('./publisher.ts')).openGcpPublisher(options, deps),
};
