/** The source type `azure`: IoT Hub's Event Hubs compatible endpoint, or any event hub. */
import { z } from 'zod';
import { entryName } from '../../entry-name.ts';
import { accept } from '../accept.ts';
import { identities, sourceType } from '../source-type.ts';
import { eventHubsOptions } from './options.ts';

export const eventHubsType = sourceType({
  schema: eventHubsOptions
    .safeExtend({
      type: z.literal('azure').describe('The Event Hubs-compatible endpoint of an IoT Hub.'),
      name: entryName,
      accept,
      identities,
    })
    .strict(),
  open: async (config, deps) => {
    const { EventHubsSource } = await import('./source.ts');
    return new EventHubsSource(config.name, config, deps);
  },
  connectCheck: async (config, { clock }) =>
    (await import('./connect-check.ts')).eventHubsConnectCheck(config, clock),
});
