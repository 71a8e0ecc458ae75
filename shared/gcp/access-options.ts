/**
 * The access to Pub/Sub for both sides: address, trust, credentials. Separate from the SDK, which is loaded
 * only when used.
 */
import { z } from 'zod';
import { proxyAccess } from '../network/options.ts';

export const gcpCredentials = z.union([
  z.strictObject({
    client_email: z.string().min(1).describe('E-mail address of the service account.'),
    private_key: z
      .string()
      .min(1)
      .describe(
        'PEM of the service account’s private key; give it as a reference to the environment or a file.',
      ),
  }),
  z.strictObject({ key_file: z.string().min(1).describe('JSON key file of the service account.') }),
]);

/** Common fields, spread into each entry's own object. */
export const gcpAccess = {
  project: z.string().min(1).describe('Id of the Google Cloud project.'),
  endpoint: z
    .string()
    .regex(/^[^:/\s]+:\d{1,5}$/, 'expected host:port')
    .optional()
    .describe('host:port of another endpoint. Default: Google’s own.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  ...proxyAccess,
  insecure: z.boolean().default(false).describe('Plaintext without credentials, for Google’s emulator.'),
  credentials: gcpCredentials
    .optional()
    .describe('Service account, or its key file. Default: application default credentials.'),
};

export type GcpAccess = z.output<z.ZodObject<typeof gcpAccess>>;
