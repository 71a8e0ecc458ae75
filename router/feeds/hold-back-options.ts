/** `hold_back` of a feed in router.yaml. */
import { z } from 'zod';
import { duration } from '../../shared/config/kinds.ts';

export const holdBackOptions = z
  .strictObject({
    max_wait: duration()
      .default(300_000)
      .describe('No record is held for longer; then the feed goes on without what is missing.'),
    records_max: z
      .int()
      .min(1)
      .max(100_000)
      .default(10_000)
      .describe('Most records that are held; beyond, the stream that has waited longest waits no more.'),
  })
  .describe(
    'Hands over each stream in the order of its seqs: a record is held until those before it are there or given up. {} for the defaults.',
  );
