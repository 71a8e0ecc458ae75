/** `hold_back` of a feed in router.yaml. */
import { z } from 'zod';
import { duration } from '../../shared/config/kinds.ts';

export const holdBackOptions = z
  .strictObject({
    max_wait: duration()
      .default(300_000)
      .describe('Longest time that a record is held; then the feed goes on without the missing ones.'),
    records_max: z
      .int()
      .min(1)
      .max(100_000)
      .default(10_000)
      .describe('Most records that are held; beyond, the feed releases the stream that has waited longest.'),
  })
  .describe(
    'Delivers each stream in the order of its seqs: a record is held until all earlier ones have arrived or were given up. {} for the defaults.',
  );
