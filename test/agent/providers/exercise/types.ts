/** The table of types with one more line. */
import type { ProviderTypes } from '../../../../agent/providers/provider-type.ts';
import { PROVIDER_TYPES } from '../../../../agent/providers/types.ts';
import { fileType } from './file/type.ts';

export const TYPES: ProviderTypes = [...PROVIDER_TYPES, fileType];
