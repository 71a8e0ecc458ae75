/** The source type `https`: the router's own HTTPS endpoint. */
import { z } from 'zod';
import { entryName } from '../../entry-name.ts';
import { accept } from '../accept.ts';
import { identities, sourceType } from '../source-type.ts';
import { httpsSourceOptions } from './options.ts';

export const httpsType = sourceType({
  schema: httpsSourceOptions
    .safeExtend({
      type: z.literal('https').describe('The router’s own HTTPS endpoint.'),
      name: entryName,
      accept,
      identities,
    })
    .strict(),
  open: async (config, deps) => {
    const { HttpsSource } = await import('./source.ts');
    return new HttpsSource(config.name, config, { ...deps, identities: config.identities });
  },
  connectCheck: async (config) => (await import('./connect-check.ts')).httpsConnectCheck(config),
});
