/** Options of Google Pub/Sub as a provider. */
import { z } from 'zod';
import { gcpAccess, gcpCredentials } from '../../../shared/gcp/access-options.ts';

/** A `providers[]` entry of type `gcp`, without the common options. */
export const gcpOptions = z.strictObject({
  ...gcpAccess,
  next_credentials: gcpCredentials
    .optional()
    .describe('Tried when the present credentials are refused; used after an accepted publish.'),
  // "Pub/Sub service APIs overview": a locational endpoint keeps a publish in its region, the global one does
  // not.
  region: z
    .string()
    .min(1)
    .optional()
    .describe('Google Cloud region. Publishes go to its locational endpoint, unless endpoint is set.'),
  topic: z.string().min(1).default('headgate').describe('Id of the Pub/Sub topic.'),
});

export type GcpOptions = z.infer<typeof gcpOptions>;

/**
 * Pub/Sub accepts 10 MB for each message and request ("Pub/Sub quotas and limits"); the rest is for
 * attributes and framing.
 */
export const GCP_ENVELOPE_BYTES_MAX = 9_990_000;
