/** Checks that a downlink through a twin names a provider with a twin. */
import { z } from 'zod';

/** The fields that the check reads. It runs also when other parts of the file are invalid. */
const read = z.object({
  providers: z.array(
    z
      .object({
        name: z.string(),
        type: z.string(),
        hub_tier: z.string().optional(),
      })
      .nullable()
      .catch(null),
  ),
  downlinks: z.array(
    z
      .object({ type: z.literal('azure'), provider: z.string() })
      .nullable()
      .catch(null),
  ),
});

type Provider = NonNullable<z.output<typeof read>['providers'][number]>;

interface TwinIssue {
  path: PropertyKey[];
  message: string;
  params: { hint: string };
}

/** Checks a whole agent.yaml, which may be invalid elsewhere. */
export function twinIssues(config: unknown): TwinIssue[] {
  const parsed = read.safeParse(config);
  if (!parsed.success) return [];
  const { providers, downlinks } = parsed.data;
  const known = new Map(providers.flatMap((one) => (one === null ? [] : [[one.name, one]])));
  const taken = new Set<string>();
  return downlinks.flatMap((downlink, index) => {
    if (downlink === null) return [];
    const issue = taken.has(downlink.provider)
      ? { message: 'another downlink reads this twin', hint: 'one is enough' }
      : problemOf(known.get(downlink.provider));
    taken.add(downlink.provider);
    if (issue === null) return [];
    const { message, hint } = issue;
    return [{ path: ['downlinks', index, 'provider'], message, params: { hint } }];
  });
}

/** A disabled provider is not a mistake: operators enable and disable providers. */
function problemOf(provider: Provider | undefined): { message: string; hint: string } | null {
  if (!provider) return { message: 'there is no such provider', hint: 'name a provider of type azure' };
  const { type, hub_tier: tier } = provider;
  if (type !== 'azure')
    return { message: `a provider of type ${type} has no twin`, hint: 'name one of type azure' };
  if (tier?.startsWith('B')) {
    const hint = 'use a hub of the standard tier, or another downlink';
    return { message: 'a hub of the basic tier has no twins', hint };
  }
  return null;
}
