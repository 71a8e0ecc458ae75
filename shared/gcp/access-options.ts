/** How both sides reach Pub/Sub: where it is, whom to trust, who we are. Kept apart from the SDK, which is loaded only when used. */
import { z } from 'zod';

export const gcpAccessOptions = {
  project: z.string().min(1),
  /** `host:port`. Default: the vendor's own. */
  endpoint: z
    .string()
    .regex(/^[^:/\s]+:\d{1,5}$/, 'expected host:port')
    .optional(),
  /** PEM with the certificate authorities to trust instead of the usual ones. */
  ca_file: z.string().min(1).optional(),
  /** Plaintext and no credentials: the vendor's emulator. */
  insecure: z.boolean().default(false),
  /** A service account, or its key file. Without either: application default credentials. */
  credentials: z
    .union([
      z.strictObject({ client_email: z.string().min(1), private_key: z.string().min(1) }),
      z.strictObject({ key_file: z.string().min(1) }),
    ])
    .optional(),
};

export type GcpAccessOptions = z.infer<ReturnType<typeof accessObject>>;

function accessObject() {
  return z.strictObject(gcpAccessOptions);
}
