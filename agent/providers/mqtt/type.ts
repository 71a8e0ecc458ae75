/** Any MQTT broker as a provider type. */
import { z } from 'zod';
import { mqttPrices, type VolumeSheet, type VolumeTariff } from '../../../shared/pricing/volume.ts';
import { certificateValidity } from '../certificates.ts';
import { type ProviderType, providerCommon } from '../provider-type.ts';
import { mqttOptions } from './options.ts';

const entry = mqttOptions.safeExtend({ type: z.literal('mqtt'), ...providerCommon }).strict();

type Entry = z.output<typeof entry>;

export const mqttType: ProviderType<Entry, VolumeSheet> & { entry: typeof entry } = {
  type: 'mqtt',
  doc: { name: 'An MQTT broker of your own', transport: 'MQTT, also over TLS or WebSocket' },
  entry,
  prices: mqttPrices,
  tariff({ account_share: share }, sheet): VolumeTariff {
    return { type: 'mqtt', sheet, share };
  },
  credentials: {
    next,
    files: ({ cert_file, key_file }) => [cert_file, key_file].filter((file) => file !== undefined),
    validity: ({ cert_file }) => certificateValidity(cert_file),
  },
  maxEnvelopeBytes: ({ max_envelope_bytes: bytes }) => bytes,
  open: async (options, deps) => (await import('./publisher.ts')).openMqttPublisher(options, deps),
};

/**
 * Replaces all four options; an absent option counts as empty, because a password is useless beside another's
 * certificate.
 */
function next(present: Entry): Entry | null {
  const {
    next_credentials: next,
    username: _,
    password: __,
    cert_file: ___,
    key_file: ____,
    ...rest
  } = present;
  return next ? { ...rest, ...next } : null;
}
