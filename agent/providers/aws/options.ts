/** Options of AWS IoT Core as a provider. */
import { z } from 'zod';
import {
  awsAccess,
  awsCredentials,
  DEFAULT_CHAIN,
  isSafeAwsUrl,
  LOOPBACK_HINT,
} from '../../../shared/aws.ts';

const ENDPOINT_HINT =
  'expected https:// and the data endpoint of your AWS account: aws iot describe-endpoint --endpoint-type iot:Data-ATS';

const credentials = awsCredentials.extend({
  expires_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('Expiry of temporary credentials, from their issuer: 2026-12-01T10:00:00Z.'),
});

/** A `providers[]` entry of type `aws`, without the common options. */
export const awsOptions = z.strictObject({
  ...awsAccess,
  credentials: credentials.optional().describe(DEFAULT_CHAIN),
  next_credentials: credentials
    .optional()
    .describe(
      'Tried when the present credentials are refused or near their expiry; used after an accepted publish.',
    ),
  endpoint: z
    .url({ protocol: /^https?$/, error: ENDPOINT_HINT })
    .refine(isSafeAwsUrl, LOOPBACK_HINT)
    .describe(
      'Data endpoint of the AWS account: aws iot describe-endpoint --endpoint-type iot:Data-ATS. http:// only for loopback.',
    ),
  topic_prefix: z
    .string()
    .regex(
      /^[^/+#]+(\/[^/+#]+)*$/,
      'expected topic levels without wildcards, not beginning or ending with "/"',
    )
    .default('headgate')
    .describe(
      'Beginning of the topic <topic_prefix>/<gateway>/<stream>. It may have several levels: $aws/rules/<rule>/headgate for Basic Ingest.',
    ),
});

export type AwsOptions = z.output<typeof awsOptions>;

/**
 * The payload limit of a publish ("AWS IoT Core message broker and protocol limits and quotas"), less a
 * margin.
 */
export const AWS_ENVELOPE_BYTES_MAX = 124 * 1024;
