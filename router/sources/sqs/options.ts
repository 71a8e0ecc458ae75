/** The options of a `sources[]` entry of type `aws`. */
import { z } from 'zod';
import { awsAccess, environmentEndpoint, isSafeAwsUrl, LOOPBACK_HINT } from '../../../shared/aws.ts';
import { duration } from '../../../shared/config/kinds.ts';

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
    .describe(
      'Where it is not the queue’s own host. http:// only for loopback. Default: AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL, the host of queue_url.',
    ),
  visibility_timeout: duration()
    .default(60_000)
    .describe(
      'How long a received message is hidden from other readers; after a crash of the router it is delivered again this much later.',
    ),
});

export type SqsOptions = z.output<typeof sqsOptions>;

/**
 * Where requests go, and the option or variable that says so. The SDK alone would drop the environment's
 * endpoint in favour of the queue's host, with a line on the console for each request. Throws as
 * {@link environmentEndpoint} does.
 */
export function queueEndpoint({ endpoint, queue_url }: SqsOptions): { url: string; option: string } {
  if (endpoint !== undefined) return { url: endpoint, option: 'endpoint' };
  const found = environmentEndpoint('SQS');
  if (found !== null) return { url: found.url, option: found.variable };
  return { url: new URL(queue_url).origin, option: 'queue_url' };
}
