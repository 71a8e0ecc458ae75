/**
 * Eligible first, score second. The gates are absolute (I4): no outage, hedge or preference opens them, and what cannot be
 * decided (a zone that the policy does not define) counts as outside.
 */
import type { Policy, ProviderFacts, StreamPolicy } from '../../shared/policy.ts';
import type { Refusal } from './reasons.ts';
import type { ProviderState } from './state.ts';

/** Whether the provider's region lies in the stream's zone; null when the stream asks for none. */
export function insideResidency(
  facts: ProviderFacts,
  stream: StreamPolicy,
  compliance: Policy['compliance'],
): boolean | null {
  const zone = stream.data_residency;
  if (zone === undefined) return null;
  const zones = compliance.data_residency;
  return Object.hasOwn(zones, zone) && (zones[zone]?.includes(facts.region) ?? false);
}

/** Refusals that only a new policy or configuration can lift. */
function standingRefusals(facts: ProviderFacts, stream: StreamPolicy, policy: Policy): Refusal[] {
  const refusals: Refusal[] = [];
  if (!facts.enabled) refusals.push('disabled');
  if (insideResidency(facts, stream, policy.compliance) === false) refusals.push('residency');
  const missing = policy.compliance.required_certifications.some(
    (name) => !facts.certifications.includes(name),
  );
  if (missing) refusals.push('certification');
  return refusals;
}

/** Every reason why the provider may not take an envelope of the stream now; none means eligible. */
export function refusalsOf(provider: ProviderState, stream: StreamPolicy, policy: Policy): Refusal[] {
  const refusals = standingRefusals(provider.facts, stream, policy);
  const { kind } = provider.health;
  if (kind === 'open' || kind === 'probing') refusals.push(kind);
  if (provider.holds.length > 0) refusals.push('hold');
  return refusals;
}

/** Whether any stream could ever use it. One that none may use is not probed either: nothing at all leaves for it. */
export function servesAnyStream(facts: ProviderFacts, policy: Policy): boolean {
  return Object.values(policy.streams).some((stream) => standingRefusals(facts, stream, policy).length === 0);
}
