/** The options of a `sources[]` entry of type `gcp`. */
import { z } from 'zod';
import { gcpAccess } from '../../../shared/gcp/access-options.ts';

/** The schema without the fields that all entries share. */
export const pubsubOptions = z.strictObject({
  ...gcpAccess,
  subscription: z.string().min(1).describe('The id of the subscription.'),
});

export type PubSubOptions = z.infer<typeof pubsubOptions>;

/** Most messages in hand (I10). */
export const MAX_MESSAGES = 256;
