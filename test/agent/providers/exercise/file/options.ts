import { z } from 'zod';

/** A `providers[]` entry of type `file`, without the options that every provider has. */
export const fileOptions = z.strictObject({
  path: z.string().min(1).describe('File that envelopes are appended to, one per line.'),
  key_file: z.string().min(1).describe('File of the key that signs each line.'),
  next_credentials: z
    .strictObject({ key_file: z.string().min(1).describe('File of the next key.') })
    .optional()
    .describe('Replaces key_file. Tried when key_file is refused; used after an accepted publish.'),
  region: z.string().min(1).optional().describe('Region of the file, for data_residency.'),
});

export type FileOptions = z.output<typeof fileOptions>;
