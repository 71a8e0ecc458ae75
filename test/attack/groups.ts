/** All groups of attacks. */
import type { Group } from './attack.ts';
import { bombing } from './cases/bombs.ts';
import { endpoint } from './cases/endpoint.ts';
import { envelopes } from './cases/envelopes.ts';

export const GROUPS: readonly Group[] = [envelopes, bombing, endpoint];
