/** AWS IoT Core as a provider type. */
import { z } from 'zod';
import { AWS_REGIONS } from '../../../shared/aws-regions.ts';
import { wallMsOf } from '../../../shared/clock.ts';
import { type AwsSheet, type AwsTariff, awsPrices } from '../../../shared/pricing/aws.ts';
import { otherRegion, type ProviderType, providerCommon } from '../provider-type.ts';
import { AWS_ENVELOPE_BYTES_MAX, awsOptions } from './options.ts';

/** The three levels that prefix a topic for a rule ("Basic Ingest", AWS IoT Core developer guide). */
const BASIC_INGEST = /^\$aws\/rules\/[^/]+/;

const entry = awsOptions
  .safeExtend({ type: z.literal('aws').describe('AWS IoT Core, over HTTPS.'), ...providerCommon })
  .strict();

export const awsType: ProviderType<z.output<typeof entry>, AwsSheet> & { entry: typeof entry } = {
  type: 'aws',
  doc: { name: 'AWS IoT Core', transport: 'HTTPS' },
  entry,
  prices: awsPrices,
  tariff({ account_share: share, topic_prefix }, sheet): AwsTariff {
    return { type: 'aws', sheet, share, basicIngest: BASIC_INGEST.test(topic_prefix) };
  },
  credentials: {
    next: ({ next_credentials: next, ...rest }) => (next ? { ...rest, credentials: next } : null),
    files: () => [],
    async validity({ credentials }, nowMs) {
      const expires = credentials?.expires_at;
      return expires === undefined ? null : { fromMs: nowMs, untilMs: wallMsOf(expires) };
    },
  },
  regions: AWS_REGIONS,
  // The router compares the topic, which holds the gateway's name: the two cannot differ.
  check: ({ region, endpoint }) =>
    otherRegion(region, /\.iot(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com/.exec(endpoint)?.[1]),
  maxEnvelopeBytes: () => AWS_ENVELOPE_BYTES_MAX,
  open: async (options, deps) => (await import('./publisher.ts')).openAwsPublisher(options, deps),
};
