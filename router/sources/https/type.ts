/** The source type `https`: the router's own HTTPS endpoint. */
import { z } from 'zod';
import { entryName } from '../../entry-name.ts';
import { sourceType } from '../source-type.ts';
import { httpsSourceOptions } from './options.ts';
import { HttpsSource } from './source.ts';

export const httpsType = sourceType({
  schema: httpsSourceOptions.safeExtend({ type: z.literal('https'), name: entryName }).strict(),
  open: (config, deps) => new HttpsSource(config.name, config, deps),
});
