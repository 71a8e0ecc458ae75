/** The `receipts` of router.yaml. */
import { z } from 'zod';
import { uniqueNames } from '../../shared/config/common.ts';
import { duration, identifier } from '../../shared/config/kinds.ts';
import { gcpPlaintextProblem } from '../../shared/gcp/access-options.ts';
import { topicOptions } from './pubsub.ts';
import { shadowOptions } from './shadow.ts';
import { twinOptions } from './twin.ts';

/** Agents consider the router silent when a record has waited for three minutes. */
const INTERVAL_MS_MIN = 1000;
const INTERVAL_MS_MAX = 60_000;

const every = {
  name: identifier().describe('Your name for the cloud, in metrics and in logs.'),
  interval: duration()
    .refine((ms) => ms >= INTERVAL_MS_MIN && ms <= INTERVAL_MS_MAX, 'expected 1s to 1m')
    .default(30_000)
    .describe('Shortest time between two receipts for one gateway through this cloud; each is billed.'),
};

const throughSchema = z
  .discriminatedUnion('type', [
    shadowOptions.safeExtend({ type: z.literal('aws').describe('A named shadow.'), ...every }).strict(),
    twinOptions.safeExtend({ type: z.literal('azure').describe('A device twin.'), ...every }).strict(),
    topicOptions
      .safeExtend({ type: z.literal('gcp').describe('A Pub/Sub topic.'), ...every })
      .strict()
      .superRefine(gcpPlaintextProblem),
  ])
  .describe('A cloud that carries receipts to gateways.');

export type ThroughConfig = z.output<typeof throughSchema>;

export const receiptsSchema = z
  .strictObject({
    interval: duration()
      .refine((ms) => ms >= 100 && ms <= 5000, 'expected 100ms to 5s')
      .default(1000)
      .describe('Shortest time between two receipts for one gateway.'),
    unsigned_copy: z
      .boolean()
      .default(true)
      .describe(
        'Whether each receipt also has an unsigned copy, for agents before 0.2.0. Without it, receipts are shorter.',
      ),
    through: uniqueNames(z.array(throughSchema).max(8), 'downlink')
      .default([])
      .describe('Clouds that carry receipts too, to gateways that do not reach this router.'),
  })
  .prefault({})
  .describe('Receipts for gateways, through sources of type https and through clouds.');
