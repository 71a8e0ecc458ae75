/** Any MQTT broker as a provider type. */
import { z } from 'zod';
import { mqttPrices, type VolumeSheet, type VolumeTariff } from '../../../shared/pricing/volume.ts';
import { certificateValidity } from '../certificates.ts';
import { foreignNames } from '../identity-check.ts';
import { identityOption, type ProviderType, providerCommon } from '../provider-type.ts';
import { mqttOptions } from './options.ts';

const entry = mqttOptions
  .safeExtend({
    type: z.literal('mqtt').describe('Any MQTT broker: QoS 1, also over TLS or WebSocket.'),
    ...providerCommon,
    ...identityOption,
  })
  .strict();

const AWS_IOT_HOST = /\.iot(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;

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
  // The router compares the topic, which holds the gateway's name. AWS IoT Core over MQTT also reports the
  // client id, by AWS's convention the name of the thing.
  check({ url, client_id: name, identity }, { gateway }) {
    if (!AWS_IOT_HOST.test(new URL(url).hostname)) return [];
    const path = ['client_id'];
    if (name !== undefined)
      return foreignNames([{ path, what: 'the client id (thing)', name }], identity, gateway);
    const message =
      'AWS IoT Core tells the router the client id, and it is a new one for each connection: all that is delivered would become dead letters (foreign-gateway)';
    return [{ path, message, hint: `write client_id: ${identity ?? gateway}` }];
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
