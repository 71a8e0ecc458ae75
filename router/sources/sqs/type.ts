/** The source type `aws`: an SQS queue that an IoT rule fills. */
import { z } from 'zod';
import { AWS_REGIONS } from '../../../shared/aws-regions.ts';
import { nearest } from '../../../shared/config/nearest.ts';
import { entryName } from '../../entry-name.ts';
import { accept } from '../accept.ts';
import { identities, type SourceIssue, sourceType } from '../source-type.ts';
import { sqsOptions } from './options.ts';

const schema = sqsOptions
  .safeExtend({
    type: z.literal('aws').describe('An SQS queue that an AWS IoT rule fills.'),
    name: entryName,
    accept,
    identities,
  })
  .strict();

export const sqsType = sourceType({
  schema,
  check,
  open: async (config, deps) => {
    const { SqsSource } = await import('./source.ts');
    return new SqsSource(config.name, config, deps);
  },
  connectCheck: async (config, { clock }) =>
    (await import('./connect-check.ts')).sqsConnectCheck(config, clock),
});

/** A queue's address names its region, and requests are signed for that of the entry. */
function check({ region, queue_url }: z.output<typeof schema>): SourceIssue[] {
  const path = ['region'];
  const named = /^https:\/\/sqs\.([a-z0-9-]+)\.amazonaws\.com/.exec(queue_url)?.[1];
  if (named !== undefined && named !== region) {
    const message = `the queue is in ${named}, the region is ${region}`;
    return [{ path, message, hint: `write region: ${named}` }];
  }
  if (named !== undefined || AWS_REGIONS.includes(region)) return [];
  const guess = nearest(region, AWS_REGIONS);
  const hint = guess === null ? 'check the name' : `did you mean "${guess}"?`;
  return [{ path, message: 'not a known region of aws', hint }];
}
