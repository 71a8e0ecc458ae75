/** The source type `mqtt`: any MQTT broker. */
import { z } from 'zod';
import { entryName } from '../../entry-name.ts';
import { accept } from '../accept.ts';
import { identities, sourceType } from '../source-type.ts';
import { mqttSourceOptions } from './options.ts';

export const mqttType = sourceType({
  schema: mqttSourceOptions
    .safeExtend({
      type: z.literal('mqtt').describe('A topic of an MQTT broker.'),
      name: entryName,
      accept,
      identities,
    })
    .strict(),
  open: async (config, deps) => {
    const { MqttSource } = await import('./source.ts');
    return new MqttSource(config.name, config, deps);
  },
  connectCheck: async (config, deps) => (await import('./connect-check.ts')).mqttConnectCheck(config, deps),
});
