import { z } from 'zod';

/** A `providers[]` entry of type `file`, without the options that every provider has. */
export const fileOptions = z.strictObject({
  path: z.string().min(1).describe('The file that envelopes are appended to, one a line.'),
  key_file: z.string().min(1).describe('A file with the key that signs each line.'),
  next_credentials: z
    .strictObject({ key_file: z.string().min(1) })
    .optional()
    .describe('In place of key_file: tried when that one is refused, and used once a publish proved it.'),
  region: z.string().min(1).optional(),
});

export type FileOptions = z.output<typeof fileOptions>;
