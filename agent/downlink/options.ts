/** The `downlinks` of agent.yaml, and what a policy asks of them. */
import { z } from 'zod';
import { awsCredentials } from '../../shared/aws.ts';
import { awsShadow } from '../../shared/aws-shadow.ts';
import { duration, identifier } from '../../shared/config/kinds.ts';
import { gcpAccess, gcpCredentials } from '../../shared/gcp/access-options.ts';
import type { Policy } from '../../shared/policy/policy.ts';
import { httpsAccess, loginProblem } from '../providers/https/access.ts';

const name = identifier().describe('Your name for it: in metrics, in logs.');

/**
 * At most so long, beside the router's own interval: after three minutes of waiting its silence is taken for
 * an outage.
 */
const SHADOW_INTERVAL_MS_MAX = 60_000;
const SHADOW_INTERVAL_MS_MIN = 1000;
const NEXT = 'Tried when the others are refused, and the other way round.';

const httpsDownlink = z
  .strictObject({
    type: z.literal('https').describe('A long poll at a router’s source of type https.'),
    name,
    ...httpsAccess,
  })
  .superRefine(loginProblem);

const gcpDownlink = z.strictObject({
  type: z.literal('gcp').describe('A Pub/Sub subscription of this gateway’s own.'),
  name,
  ...gcpAccess,
  next_credentials: gcpCredentials.optional().describe(NEXT),
  subscription: z
    .string()
    .min(1)
    .describe('The id of the subscription, filtered by the attribute gateway. Nobody else reads it.'),
});

const awsDownlink = z.strictObject({
  type: z.literal('aws').describe('A named shadow, looked at again and again.'),
  name,
  ...awsShadow,
  next_credentials: awsCredentials.optional().describe(NEXT),
  interval: duration()
    .refine((ms) => ms >= SHADOW_INTERVAL_MS_MIN && ms <= SHADOW_INTERVAL_MS_MAX, 'expected 1s to 1m')
    .default(SHADOW_INTERVAL_MS_MAX)
    .describe('How often it is looked at: each time is billed.'),
});

const azureDownlink = z.strictObject({
  type: z.literal('azure').describe('The twin of the device that a provider of type azure publishes as.'),
  name,
  provider: identifier().describe('The name of that provider: its connection is used.'),
});

export const downlinkSchema = z
  .discriminatedUnion('type', [httpsDownlink, gcpDownlink, awsDownlink, azureDownlink])
  .describe('A way from the router to this gateway.');

export type DownlinkConfig = z.output<typeof downlinkSchema>;
export type HttpsDownlinkConfig = z.output<typeof httpsDownlink>;
export type AwsDownlinkConfig = z.output<typeof awsDownlink>;
export type AzureDownlinkConfig = z.output<typeof azureDownlink>;
export type GcpDownlinkConfig = z.output<typeof gcpDownlink>;

interface PolicyIssue {
  /** From the root of the policy. */
  path: PropertyKey[];
  message: string;
  params: { hint: string };
}

/** Streams that wait for receipts where none can come: their records would never leave the buffer. */
export function downlinkIssues(policy: Policy, downlinks: number): PolicyIssue[] {
  if (downlinks > 0) return [];
  return Object.entries(policy.streams).flatMap(([stream, { until }]) => {
    if (until !== 'receipt') return [];
    const path = ['streams', stream, 'until'];
    const params = { hint: 'add a downlink, or say until: cloud' };
    return [{ path, message: 'no receipt can come: there are no downlinks', params }];
  });
}
