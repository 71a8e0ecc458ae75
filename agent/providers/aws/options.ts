/** AWS IoT Core as a provider: its options. */
import { z } from 'zod';
import { awsAccess, awsCredentials, DEFAULT_CHAIN } from '../../../shared/aws.ts';

const ENDPOINT_HINT =
  'expected https:// and the data endpoint of your AWS account: aws iot describe-endpoint --endpoint-type iot:Data-ATS';

const credentials = awsCredentials.extend({
  expires_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('When temporary credentials end, as their issuer said: 2026-12-01T10:00:00Z.'),
});

/** A `providers[]` entry of type `aws`, without what all entries have. */
export const awsOptions = z.strictObject({
  ...awsAccess,
  credentials: credentials.optional().describe(DEFAULT_CHAIN),
  next_credentials: credentials
    .optional()
    .describe('Tried when the others are refused or near their end, and used once a publish proved them.'),
  endpoint: z
    .url({ protocol: /^https?$/, error: ENDPOINT_HINT })
    .refine(isSafe, 'expected https://; http:// is for a server on this machine')
    .describe('The data endpoint of your AWS account; http:// only on this machine.'),
  topic_prefix: z
    .string()
    .regex(
      /^[^/+#]+(\/[^/+#]+)*$/,
      'expected topic levels without wildcards, not beginning or ending with "/"',
    )
    .default('headgate')
    .describe(
      'The topic is <topic_prefix>/<gateway>/<stream>. More levels may stand in front: $aws/rules/<rule>/headgate for Basic Ingest.',
    ),
});

/** Records and credentials do not leave the machine in the clear. */
function isSafe(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

export type AwsOptions = z.output<typeof awsOptions>;

/**
 * The payload limit of a publish ("AWS IoT Core message broker and protocol limits and quotas"), less a
 * margin.
 */
export const AWS_ENVELOPE_BYTES_MAX = 124 * 1024;
