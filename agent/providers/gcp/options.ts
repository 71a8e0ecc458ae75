/** Google Pub/Sub as a provider: its options. */
import { z } from 'zod';
import { gcpAccess, gcpCredentials } from '../../../shared/gcp/access-options.ts';

/** A `providers[]` entry of type `gcp`, without what every provider has. */
export const gcpOptions = z.strictObject({
  ...gcpAccess,
  next_credentials: gcpCredentials
    .optional()
    .describe('Tried when the others are refused, and used once a publish proved them.'),
  // "Pub/Sub service APIs overview": a locational endpoint keeps a publish in its region, the global one does
  // not.
  region: z
    .string()
    .min(1)
    .optional()
    .describe('Publishes go to this region’s own endpoint, unless endpoint is given.'),
  topic: z.string().min(1).default('headgate').describe('The id of the topic.'),
});

export type GcpOptions = z.infer<typeof gcpOptions>;

/**
 * Pub/Sub takes 10 MB per message and request ("Pub/Sub quotas and limits"); the rest is for attributes and
 * framing.
 */
export const GCP_ENVELOPE_BYTES_MAX = 9_990_000;
