/** How large an envelope may be: at each provider, and for a stream at those that may carry it. */
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import { typeOf } from '../providers/provider-type.ts';
import { mayEverServe } from '../routing/core/core.ts';
import type { AgentConfig } from './config.ts';

/** Bytes by name of the enabled provider, by its documented limit. */
export function envelopeLimits({ providers, providerTypes }: AgentConfig): ReadonlyMap<string, number> {
  const enabled = providers.filter((provider) => provider.enabled);
  return new Map(
    enabled.map((provider) => [provider.name, typeOf(providerTypes, provider).maxEnvelopeBytes(provider)]),
  );
}

/**
 * Bytes by stream: what as many providers take as the stream asks for copies, of those that may ever carry
 * it. Infinite for a stream that none may carry: its records wait for another policy.
 */
export function streamLimits(
  policy: Policy,
  facts: readonly ProviderFacts[],
  limits: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const limitOf = (stream: Policy['streams'][string]): number => {
    const all = facts
      .filter((provider) => mayEverServe(provider, stream, policy))
      .map(({ name }) => limits.get(name) ?? 0)
      .sort((a, b) => b - a);
    return all[stream.redundancy - 1] ?? all.at(-1) ?? Number.POSITIVE_INFINITY;
  };
  return new Map(Object.entries(policy.streams).map(([name, stream]) => [name, limitOf(stream)]));
}
