/** Options of a private router over HTTPS as a provider. */
import { z } from 'zod';
import { byteSize } from '../../../shared/config/kinds.ts';
import { httpsAccess, httpsCredentials, loginProblem } from './access.ts';

/** Half of a router's default limit. */
const MAX_ENVELOPE_BYTES = 512 * 1024;

/** A `providers[]` entry of type `https`, without the common options. */
export const httpsOptions = z
  .strictObject({
    ...httpsAccess,
    next_credentials: z
      .strictObject(httpsCredentials)
      .optional()
      .describe(
        'Replaces cert_file, key_file and token_key_file, all three. Tried when those are refused or near their expiry; used after an accepted publish.',
      ),
    region: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Region of the router, for data_residency. Without it, streams with a residency never use this provider.',
      ),
    max_envelope_bytes: byteSize()
      .default(MAX_ENVELOPE_BYTES)
      .describe('Largest envelope that the router accepts (its max_body).'),
  })
  .superRefine(loginProblem);

export type HttpsOptions = z.output<typeof httpsOptions>;
