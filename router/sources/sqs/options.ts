/** The options of a `sources[]` entry of type `aws`. */
import { z } from 'zod';
import { awsAccess, isSafeAwsUrl } from '../../../shared/aws.ts';
import { duration } from '../../../shared/config/kinds.ts';

const LOOPBACK_HINT = 'expected https://; http:// is for a server on this machine';

/** The schema without the fields that all entries share. */
export const sqsOptions = z.strictObject({
  ...awsAccess,
  queue_url: z
    .url({
      protocol: /^https?$/,
      error: 'expected the URL of an SQS queue: aws sqs get-queue-url --queue-name headgate',
    })
    .refine(isSafeAwsUrl, LOOPBACK_HINT)
    .describe('The queue that the IoT rule fills.'),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'expected an https:// URL' })
    .refine(isSafeAwsUrl, LOOPBACK_HINT)
    .optional()
    .describe('Where it is not the queue’s own host. http:// only for loopback.'),
  visibility_timeout: duration()
    .default(60_000)
    .describe(
      'How long a received message is hidden from other readers; after a crash of the router it is delivered again this much later.',
    ),
});

export type SqsOptions = z.output<typeof sqsOptions>;
