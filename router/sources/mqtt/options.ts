/** The options of a `sources[]` entry of type `mqtt`. */
import { z } from 'zod';
import { mqttAccess } from '../../../shared/mqtt.ts';

/** Without the fields that all entries have. */
export const mqttSourceOptions = z.strictObject({
  ...mqttAccess,
  client_id: z
    .string()
    .min(1)
    .default('headgate-router')
    .describe('The broker keeps the session under it; another router needs another.'),
  topic_authenticated: z
    .boolean()
    .default(false)
    .describe(
      'The broker lets a gateway publish under its own <prefix>/<gateway>/ only: an envelope of another gateway there is refused.',
    ),
});

export type MqttSourceOptions = z.output<typeof mqttSourceOptions>;
