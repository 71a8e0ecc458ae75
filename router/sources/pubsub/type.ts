/** The source type `gcp`: a Pub/Sub subscription. */
import { z } from 'zod';
import { gcpPlaintextProblem } from '../../../shared/gcp/access-options.ts';
import { entryName } from '../../entry-name.ts';
import { accept } from '../accept.ts';
import { sourceType } from '../source-type.ts';
import { pubsubOptions } from './options.ts';

export const pubsubType = sourceType({
  schema: pubsubOptions
    .safeExtend({ type: z.literal('gcp').describe('A Pub/Sub subscription.'), name: entryName, accept })
    .strict()
    .superRefine(gcpPlaintextProblem),
  open: async (config, deps) => {
    const { PubSubSource } = await import('./source.ts');
    return new PubSubSource(config.name, config, deps);
  },
  connectCheck: async (config, { clock }) =>
    (await import('./connect-check.ts')).pubSubConnectCheck(config, clock),
});
