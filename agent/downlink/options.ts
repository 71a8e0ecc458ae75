/** The options of each type of downlink in agent.yaml, and the policy's requirements on them. */
import { z } from 'zod';
import { awsCredentials } from '../../shared/aws.ts';
import { awsShadow } from '../../shared/aws-shadow.ts';
import { duration, identifier } from '../../shared/config/kinds.ts';
import { gcpAccess, gcpCredentials, gcpPlaintextProblem } from '../../shared/gcp/access-options.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { httpsAccess, loginProblem } from '../providers/https/access.ts';

const name = identifier().describe('Your name for the downlink, in metrics and logs.');

/**
 * Upper bound of the interval, beside the router's own: after three minutes of waiting, the silence counts as
 * an outage.
 */
const SHADOW_INTERVAL_MS_MAX = 60_000;
const SHADOW_INTERVAL_MS_MIN = 1000;
const NEXT = 'The second credentials: used when the first are refused, and the first when these are refused.';

export const httpsDownlink = z
  .strictObject({
    type: z.literal('https').describe('Long poll at a router’s source of type https.'),
    name,
    ...httpsAccess,
  })
  .superRefine(loginProblem);

export const gcpDownlink = z
  .strictObject({
    type: z.literal('gcp').describe('A Pub/Sub subscription for this gateway alone.'),
    name,
    ...gcpAccess,
    next_credentials: gcpCredentials.optional().describe(NEXT),
    subscription: z
      .string()
      .min(1)
      .describe('Id of the subscription, filtered by the attribute gateway. Only this gateway may read it.'),
  })
  .superRefine(gcpPlaintextProblem);

export const awsDownlink = z.strictObject({
  type: z.literal('aws').describe('A named shadow, polled.'),
  name,
  ...awsShadow,
  next_credentials: awsCredentials.optional().describe(NEXT),
  interval: duration()
    .refine((ms) => ms >= SHADOW_INTERVAL_MS_MIN && ms <= SHADOW_INTERVAL_MS_MAX, 'expected 1s to 1m')
    .default(SHADOW_INTERVAL_MS_MAX)
    .describe('Interval between polls of the shadow. AWS bills each poll.'),
});

export const azureDownlink = z.strictObject({
  type: z.literal('azure').describe('The twin of the device of a provider of type azure.'),
  name,
  provider: identifier().describe('Name of that provider; the downlink uses its connection.'),
});

export type HttpsDownlinkConfig = z.output<typeof httpsDownlink>;
export type AwsDownlinkConfig = z.output<typeof awsDownlink>;
export type AzureDownlinkConfig = z.output<typeof azureDownlink>;
export type GcpDownlinkConfig = z.output<typeof gcpDownlink>;

interface PolicyIssue {
  /** Path from the root of the policy. */
  path: PropertyKey[];
  message: string;
  params: { hint: string };
}

/**
 * Streams with `until: receipt` although no downlink is configured: their records would never leave the
 * buffer.
 */
export function downlinkIssues(policy: Policy, downlinks: number): PolicyIssue[] {
  if (downlinks > 0) return [];
  return Object.entries(policy.streams).flatMap(([stream, { until }]) => {
    if (until !== 'receipt') return [];
    const path = ['streams', stream, 'until'];
    const params = { hint: 'add a downlink, or set until: cloud' };
    return [{ path, message: 'no receipt can come: there are no downlinks', params }];
  });
}
