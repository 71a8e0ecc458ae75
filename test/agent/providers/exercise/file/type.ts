import { z } from 'zod';
import { type ProviderType, providerCommon } from '../../../../../agent/providers/provider-type.ts';
import { type VolumeSheet, type VolumeTariff, volumePrices } from '../../../../../shared/pricing/volume.ts';
import { fileOptions } from './options.ts';
import prices from './prices.json' with { type: 'json' };

const entry = fileOptions
  .safeExtend({ type: z.literal('file').describe('A file.'), ...providerCommon })
  .strict();

export const fileType: ProviderType<z.output<typeof entry>, VolumeSheet> & { entry: typeof entry } = {
  type: 'file',
  doc: { name: 'A file', transport: 'the disk' },
  entry,
  prices: volumePrices('file', prices),
  tariff({ account_share: share }, sheet): VolumeTariff {
    return { type: 'file', sheet, share };
  },
  credentials: {
    next: ({ next_credentials: next, ...rest }) => (next ? { ...rest, ...next } : null),
    files: ({ key_file }) => [key_file],
    validity: async () => null,
  },
  maxEnvelopeBytes: () => 1_000_000,
  open: async (options, deps) => (await import('./publisher.ts')).openFilePublisher(options, deps),
};
