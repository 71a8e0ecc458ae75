/**
 * Eligibility comes before the score. The gates are absolute (I4): no outage, hedge or preference opens them,
 * and an undecidable gate (a zone that the policy does not define) counts as closed.
 */
import type { Policy, ProviderFacts, StreamPolicy } from '../../../shared/policy/policy.ts';
import type { Refusal } from './reasons.ts';
import type { ProviderState } from './state.ts';

/** Whether the provider's region is in the stream's zone; null for a stream without a residency. */
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
export function standingRefusals(facts: ProviderFacts, stream: StreamPolicy, policy: Policy): Refusal[] {
  const refusals: Refusal[] = [];
  if (!facts.enabled) refusals.push('disabled');
  if (insideResidency(facts, stream, policy.compliance) === false) refusals.push('residency');
  const missing = policy.compliance.required_certifications.some(
    (name) => !facts.certifications.includes(name),
  );
  if (missing) refusals.push('certification');
  return refusals;
}

/** All reasons why the provider may not take an envelope of the stream now; empty means eligible. */
export function refusalsOf(provider: ProviderState, stream: StreamPolicy, policy: Policy): Refusal[] {
  const refusals = standingRefusals(provider.facts, stream, policy);
  const { kind } = provider.health;
  if (kind === 'open' || kind === 'probing') refusals.push(kind);
  if (isHeldFirmly(provider)) refusals.push('hold');
  return refusals;
}

/** Whether the provider has a hold that never yields. */
export function isHeldFirmly({ holds }: ProviderState): boolean {
  return holds.some((reason) => reason !== 'receipt-lag');
}

/**
 * For each provider, whether it yields the stream: its receipts are late, and enough others may take the
 * stream. `refusals` are those of {@link refusalsOf}, in the same order.
 */
export function yields(
  providers: readonly ProviderState[],
  refusals: readonly Refusal[][],
  copies: number,
): boolean[] {
  const isLate = ({ holds }: ProviderState): boolean => holds.includes('receipt-lag');
  const others = providers.filter((provider, i) => refusals[i]?.length === 0 && !isLate(provider));
  return providers.map((provider) => isLate(provider) && others.length >= copies);
}

/**
 * Whether any stream could ever use the provider. A provider that no stream may use is not probed either, so
 * that no byte is sent to it.
 */
export function servesAnyStream(facts: ProviderFacts, policy: Policy): boolean {
  return Object.values(policy.streams).some((stream) => mayEverServe(facts, stream, policy));
}

/** Whether the stream may use the provider later: its present refusals, if any, are temporary. */
export function mayEverServe(facts: ProviderFacts, stream: StreamPolicy, policy: Policy): boolean {
  return standingRefusals(facts, stream, policy).length === 0;
}
