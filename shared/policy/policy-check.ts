/**
 * Checks whether a gateway's providers can satisfy a policy: at start, instead of a first record that waits
 * for ever.
 */

import { nearest } from '../config/nearest.ts';
import type { Policy } from './policy.ts';

interface PolicyIssue {
  /** The path from the root of the policy. */
  path: PropertyKey[];
  message: string;
  params: { hint: string };
}

/**
 * Finds unknown providers in preferences and shares, and streams that could never collect their copies: a
 * residency zone (I4) or a redundancy with too few providers. A disabled provider counts, so that disabling
 * one never stops the agent.
 */
export function policyIssues(
  policy: Policy,
  providers: readonly { name: string; region?: string | undefined }[],
): PolicyIssue[] {
  if (providers.length === 0) return [];
  const names = providers.map((provider) => provider.name);
  return Object.entries(policy.streams).flatMap(([name, stream]) => {
    const issues: PolicyIssue[] = [];
    const named: Array<[string, PropertyKey[]]> = [
      ...stream.preferred_providers.map((one, i): [string, PropertyKey[]] => [
        one,
        ['preferred_providers', i],
      ]),
      ...Object.keys(stream.shares).map((one): [string, PropertyKey[]] => [one, ['shares', one]]),
    ];
    for (const [wanted, path] of named) {
      if (names.includes(wanted)) continue;
      const guess = nearest(wanted, names);
      const hint = guess === null ? `use one of: ${names.join(', ')}` : `did you mean "${guess}"?`;
      issues.push({
        path: ['streams', name, ...path],
        message: 'no provider has this name',
        params: { hint },
      });
    }
    const zone = stream.data_residency;
    const regions = zone === undefined ? null : policy.compliance.data_residency[zone];
    if (regions === undefined) return issues;
    const inside = providers.filter(
      (provider) => regions === null || regions.includes(provider.region ?? ''),
    );
    if (inside.length >= stream.redundancy) return issues;
    const have =
      inside.length === 0 ? 'no provider' : `only ${inside.length} of ${providers.length} providers`;
    if (regions !== null) {
      const message = `${have} in zone "${zone}" for ${copies(stream.redundancy)}: the records could never leave the buffer`;
      const hint = `add a provider in one of: ${regions.join(', ')}`;
      issues.push({ path: ['streams', name, 'data_residency'], message, params: { hint } });
    } else {
      const message = `${copies(stream.redundancy)} need as many providers, and ${providers.length} are configured`;
      const hint = `add providers, or ask for at most ${copies(providers.length)}`;
      issues.push({ path: ['streams', name, 'redundancy'], message, params: { hint } });
    }
    return issues;
  });
}

function copies(count: number): string {
  return count === 1 ? '1 copy' : `${count} copies`;
}
