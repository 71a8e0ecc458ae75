/** Options of an MQTT broker as a provider. */
import { z } from 'zod';
import { byteSize } from '../../../shared/config/kinds.ts';
import { mqttAccess, mqttNetworkProblem } from '../../../shared/mqtt.ts';

/** A common limit of brokers, and similar to the limits of the clouds. */
const MAX_ENVELOPE_BYTES = 262_144;

/** A `providers[]` entry of type `mqtt`, without the common options. */
export const mqttOptions = z
  .strictObject({
    ...mqttAccess,
    next_credentials: z
      .strictObject({
        username: mqttAccess.username,
        password: mqttAccess.password,
        cert_file: mqttAccess.cert_file,
        key_file: mqttAccess.key_file,
      })
      .optional()
      .describe(
        'Replaces username, password, cert_file and key_file, all four. Tried when those are refused or near their expiry; used after an accepted publish.',
      ),
    region: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Region of the broker, for data_residency. Without it, streams with a residency never use this provider.',
      ),
    client_id: z
      .string()
      .min(1)
      .optional()
      .describe('MQTT client id. Default: a new one for each connection.'),
    max_envelope_bytes: byteSize()
      .default(MAX_ENVELOPE_BYTES)
      .describe('Largest payload that the broker accepts.'),
  })
  .superRefine(mqttNetworkProblem);

export type MqttOptions = z.output<typeof mqttOptions>;
