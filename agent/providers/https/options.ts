/** A router of one's own as a provider, over HTTPS: its options. */
import { z } from 'zod';
import { byteSize } from '../../../shared/config/kinds.ts';
import { httpsAccess, httpsCredentials, loginProblem } from './access.ts';

/** Half of what a router takes unless it is told otherwise. */
const MAX_ENVELOPE_BYTES = 512 * 1024;

/** A `providers[]` entry of type `https`, without what every provider has. */
export const httpsOptions = z
  .strictObject({
    ...httpsAccess,
    next_credentials: z
      .strictObject(httpsCredentials)
      .optional()
      .describe(
        'In place of cert_file, key_file and token_key_file, all three: tried when those are refused or near their end, and used once a publish proved them.',
      ),
    region: z.string().min(1).optional(),
    max_envelope_bytes: byteSize()
      .default(MAX_ENVELOPE_BYTES)
      .describe('The largest envelope that the router takes (its max_body).'),
  })
  .superRefine(loginProblem);

export type HttpsOptions = z.output<typeof httpsOptions>;
