/**
 * The access to Pub/Sub for both sides: address, trust, credentials. Separate from the SDK, which is loaded
 * only when used.
 */
import { z } from 'zod';
import { proxyAccess } from '../network/options.ts';
import { isThisMachine } from '../network/proxy.ts';

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

/** Said of plaintext to any other machine. */
export const PLAINTEXT_HINT =
  'plaintext is for an emulator on this machine (127.0.0.1:8085), since records would go unencrypted';

/** Common fields, spread into each entry's own object. */
export const gcpAccess = {
  project: z.string().min(1).describe('Id of the Google Cloud project.'),
  endpoint: z
    .string()
    .regex(/^[^:/\s]+:\d{1,5}$/, 'expected host:port')
    .optional()
    .describe('host:port of another endpoint. Default: PUBSUB_EMULATOR_HOST, Google’s own.'),
  ca_file: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
  ...proxyAccess,
  insecure: z
    .boolean()
    .default(false)
    .describe('Plaintext without credentials, for Google’s emulator on this machine.'),
  credentials: gcpCredentials
    .optional()
    .describe('Service account, or its key file. Default: application default credentials.'),
};

export type GcpAccess = z.output<z.ZodObject<typeof gcpAccess>>;

/** `insecure` never sends records off this machine. */
export function gcpPlaintextProblem(
  { endpoint, insecure }: Pick<GcpAccess, 'endpoint' | 'insecure'>,
  context: z.RefinementCtx,
): void {
  if (!insecure || isThisMachine(endpoint?.split(':')[0] ?? '')) return;
  const hint = 'set endpoint to the emulator, or leave out insecure';
  context.addIssue({ code: 'custom', path: ['insecure'], message: PLAINTEXT_HINT, params: { hint } });
}
