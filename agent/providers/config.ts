/** The `providers` of agent.yaml, from the table of types. */
import { z } from 'zod';
import type { ProviderEntry, ProviderTypes } from './provider-type.ts';

/** The schema of an entry of any type in the table. */
export function providerSchema<Entry extends ProviderEntry>(types: ProviderTypes<Entry>) {
  const [first, ...others] = types;
  return z
    .discriminatedUnion('type', [first.entry, ...others.map(({ entry }) => entry)])
    .describe('A cloud endpoint that this gateway publishes to.');
}
