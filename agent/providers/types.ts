/** The table of provider types. A new type is a folder and a line here (docs/how-to/adding-a-provider.md). */
import type { z } from 'zod';
import { awsType } from './aws/type.ts';
import { azureType } from './azure/type.ts';
import { gcpType } from './gcp/type.ts';
import { httpsType } from './https/type.ts';
import { mqttType } from './mqtt/type.ts';

const types = [awsType, azureType, gcpType, mqttType, httpsType] as const;

/** An entry of `providers`, of any type in the table. */
export type ProviderConfig = z.output<(typeof types)[number]['entry']>;

export const PROVIDER_TYPES = types;
