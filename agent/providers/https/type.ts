/** A private router as a provider type. */
import { z } from 'zod';
import { httpsPrices, type VolumeSheet, type VolumeTariff } from '../../../shared/pricing/volume.ts';
import { certificateValidity } from '../certificates.ts';
import { certificateNames, foreignNames } from '../identity-check.ts';
import { identityOption, type ProviderType, providerCommon } from '../provider-type.ts';
import { httpsOptions } from './options.ts';

const entry = httpsOptions
  .safeExtend({
    type: z.literal('https').describe('A router’s source of type https.'),
    ...providerCommon,
    ...identityOption,
  })
  .strict();

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
  // A token names the gateway itself.
  check({ cert_file, next_credentials, identity }, site) {
    const own = certificateNames(cert_file, ['cert_file'], site);
    const next = certificateNames(next_credentials?.cert_file, ['next_credentials', 'cert_file'], site);
    return foreignNames([...own, ...next], identity, site.gateway);
  },
  maxEnvelopeBytes: ({ max_envelope_bytes: bytes }) => bytes,
  open: async (options, deps) => (await import('./publisher.ts')).openHttpsPublisher(options, deps),
};

/** Replaces all three options; an absent option counts as empty. */
function next(present: Entry): Entry | null {
  const { next_credentials: next, cert_file: _, key_file: __, token_key_file: ___, ...rest } = present;
  return next ? { ...rest, ...next } : null;
}
