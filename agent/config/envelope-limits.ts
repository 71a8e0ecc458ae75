/** Largest envelopes: for each provider, and for each stream over the providers that may carry it. */
import { RECIPIENTS_MAX, sealBytes } from '../../shared/envelope/seal.ts';
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import { ENVELOPE_OVERHEAD_BYTES } from '../broker/intake.ts';
import { typeOf } from '../providers/provider-type.ts';
import { mayEverServe } from '../routing/core/core.ts';
import type { AgentConfig } from './config.ts';

/** Largest envelope in bytes by enabled provider, from its documented limit. */
export function envelopeLimits({ providers, providerTypes }: AgentConfig): ReadonlyMap<string, number> {
  const enabled = providers.filter((provider) => provider.enabled);
  return new Map(
    enabled.map((provider) => [provider.name, typeOf(providerTypes, provider).maxEnvelopeBytes(provider)]),
  );
}

/**
 * Largest envelope in bytes by stream, less its seal, such that as many providers take it as the stream has
 * copies. Only providers that may ever carry the stream count. Infinite for a stream without one: its records
 * wait for another policy.
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
    const most = all[stream.redundancy - 1] ?? all.at(-1) ?? Number.POSITIVE_INFINITY;
    return stream.seal ? most - sealBytes(RECIPIENTS_MAX) : most;
  };
  return new Map(Object.entries(policy.streams).map(([name, stream]) => [name, limitOf(stream)]));
}

/** Room for a device's name of usual length: the record holds it, the packet does not. */
const DEVICE_BYTES = 64;

/** The largest MQTT packet whose record is certain to fit an envelope of this many bytes. */
export function packetBytesMax(envelopeBytes: number): number {
  return envelopeBytes - ENVELOPE_OVERHEAD_BYTES - DEVICE_BYTES;
}
