/** The source type `aws`: an SQS queue that an IoT rule fills. */
import { z } from 'zod';
import { entryName } from '../../entry-name.ts';
import { identities, sourceType } from '../source-type.ts';
import { sqsOptions } from './options.ts';
import { SqsSource } from './source.ts';

export const sqsType = sourceType({
  schema: sqsOptions.safeExtend({ type: z.literal('aws'), name: entryName, identities }).strict(),
  open: (config, deps) => new SqsSource(config.name, config, deps),
});
