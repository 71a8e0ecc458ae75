/** Any MQTT broker as a provider: its options. */
import { z } from 'zod';
import { byteSize } from '../../../shared/config/kinds.ts';
import { mqttAccess } from '../../../shared/mqtt.ts';

/** Many a broker's limit, and of the same size as the clouds' smallest but one. */
const MAX_ENVELOPE_BYTES = 262_144;

/** A `providers[]` entry of type `mqtt`, without what every provider has. */
export const mqttOptions = z.strictObject({
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
      'In place of username, password, cert_file and key_file, all four: tried when those are refused or near their end, and used once a publish proved them.',
    ),
  region: z.string().min(1).optional(),
  client_id: z.string().min(1).optional().describe('Default: a new one for each connection.'),
  max_envelope_bytes: byteSize()
    .default(MAX_ENVELOPE_BYTES)
    .describe('The largest payload that the broker takes.'),
});

export type MqttOptions = z.output<typeof mqttOptions>;
