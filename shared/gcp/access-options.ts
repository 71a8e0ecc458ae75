/**
 * How both sides reach Pub/Sub: where it is, whom to trust, who we are. Kept apart from the SDK, which is
 * loaded only when used.
 */
import { z } from 'zod';

export const gcpCredentials = z.union([
  z.strictObject({ client_email: z.string().min(1), private_key: z.string().min(1) }),
  z.strictObject({ key_file: z.string().min(1) }),
]);

/** Fields shared by both sides' entries; spread into the entry's own object. */
export const gcpAccess = {
  project: z.string().min(1).describe('The id of the Google Cloud project.'),
  endpoint: z
    .string()
    .regex(/^[^:/\s]+:\d{1,5}$/, 'expected host:port')
    .optional()
    .describe('host:port. Default: the vendor’s own.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM with the authorities to trust instead of the usual ones.'),
  insecure: z.boolean().default(false).describe('Plaintext and no credentials: the vendor’s emulator.'),
  credentials: gcpCredentials
    .optional()
    .describe('A service account, or its key file. Default: application default credentials.'),
};

export type GcpAccess = z.output<z.ZodObject<typeof gcpAccess>>;
