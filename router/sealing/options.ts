/** `sealing` of router.yaml. */
import { z } from 'zod';
import { identifier } from '../../shared/config/kinds.ts';

/** Keys of a folder and of `key_files` together (I10). */
const KEY_FILES_MAX = 8;

export const sealingOptions = z
  .strictObject({
    required_streams: z
      .array(identifier())
      .default([])
      .describe('Streams that are taken only sealed. In clear they become dead letters (unsealed).'),
    key_files: z
      .array(z.string().min(1))
      .max(KEY_FILES_MAX)
      .default([])
      .describe(
        'PEM files (PKCS #8, X25519) of private keys that open seals, for example credentials of systemd, beside those in <data_dir>/seal-keys.',
      ),
  })
  .describe('Sealed envelopes: the keys that open them, which headgate keys makes, and what must be sealed.');
