/** The `downlinks` of agent.yaml, and what a policy asks of them. */
import { z } from 'zod';
import { identifier } from '../../shared/config/kinds.ts';
import type { Policy } from '../../shared/policy.ts';
import { httpsAccess, loginProblem } from '../cloud/https/access.ts';

export const downlinkSchema = z
  .strictObject({
    type: z.literal('https').describe('A long poll at a router’s source of type https.'),
    name: identifier().describe('Your name for it: in metrics, in logs.'),
    ...httpsAccess,
  })
  .superRefine(loginProblem)
  .describe('A way from the router to this gateway.');

export type DownlinkConfig = z.output<typeof downlinkSchema>;

interface PolicyIssue {
  /** From the root of the policy. */
  path: PropertyKey[];
  message: string;
  params: { hint: string };
}

/** Streams that wait for receipts where none can come: their records would never leave the buffer. */
export function downlinkIssues(policy: Policy, downlinks: number): PolicyIssue[] {
  if (downlinks > 0) return [];
  return Object.entries(policy.streams).flatMap(([name, { until }]) => {
    if (until !== 'receipt') return [];
    const path = ['streams', name, 'until'];
    const params = { hint: 'add a downlink, or say until: cloud' };
    return [{ path, message: 'no receipt can come: there are no downlinks', params }];
  });
}
