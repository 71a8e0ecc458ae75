/** A private router as a provider type. */
import { z } from 'zod';
import { httpsPrices, type VolumeSheet, type VolumeTariff } from '../../../shared/pricing/volume.ts';
import { certificateValidity } from '../certificates.ts';
import { type ProviderType, providerCommon } from '../provider-type.ts';
import { httpsOptions } from './options.ts';

const entry = httpsOptions.safeExtend({ type: z.literal('https'), ...providerCommon }).strict();

type Entry = z.output<typeof entry>;

export const httpsType: ProviderType<Entry, VolumeSheet> & { entry: typeof entry } = {
  type: 'https',
  doc: { name: 'A router of your own', transport: 'HTTPS' },
  entry,
  prices: httpsPrices,
  tariff({ account_share: share }, sheet): VolumeTariff {
    return { type: 'https', sheet, share };
  },
  credentials: {
    next,
    files: ({ cert_file, key_file, token_key_file }) =>
      [cert_file, key_file, token_key_file].filter((file) => file !== undefined),
    validity: ({ cert_file }) => certificateValidity(cert_file),
  },
  maxEnvelopeBytes: ({ max_envelope_bytes: bytes }) => bytes,
  open: async (options, deps) => (await import('./publisher.ts')).openHttpsPublisher(options, deps),
};

/** Replaces all three options; an absent option counts as empty. */
function next(present: Entry): Entry | null {
  const { next_credentials: next, cert_file: _, key_file: __, token_key_file: ___, ...rest } = present;
  return next ? { ...rest, ...next } : null;
}
