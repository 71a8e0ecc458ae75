/** The `providers` of agent.yaml, by the table of types. */
import { z } from 'zod';
import type { ProviderEntry, ProviderTypes } from './provider-type.ts';

/** One entry: of any type in the table. */
export function providerSchema<Entry extends ProviderEntry>(types: ProviderTypes<Entry>) {
  const [first, ...others] = types;
  return z
    .discriminatedUnion('type', [first.entry, ...others.map(({ entry }) => entry)])
    .describe('One cloud endpoint.');
}
