/** The options of a `sources[]` entry of type `mqtt`. */
import { z } from 'zod';
import { mqttAccess, mqttNetworkProblem } from '../../../shared/mqtt.ts';

/** The schema without the fields that all entries share. */
export const mqttSourceOptions = z
  .strictObject({
    ...mqttAccess,
    client_id: z
      .string()
      .min(1)
      .default('headgate-router')
      .describe('The broker keeps the session under this id; each router needs its own.'),
    topic_authenticated: z
      .boolean()
      .default(false)
      .describe(
        'The broker lets a gateway publish under its own <prefix>/<gateway>/ only: an envelope of another gateway on that topic is refused.',
      ),
  })
  .superRefine(mqttNetworkProblem);

export type MqttSourceOptions = z.output<typeof mqttSourceOptions>;
