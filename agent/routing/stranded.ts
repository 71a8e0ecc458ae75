/**
 * Finds streams whose records can never leave under this configuration: waiting does not help, only another
 * policy or configuration does.
 */
import { certificationHint } from '../../shared/policy/known-names.ts';
import type { Policy, ProviderFacts, StreamPolicy } from '../../shared/policy/policy.ts';
import { mayEverServe, standingRefusals } from './core/eligibility.ts';
import type { Refusal } from './core/reasons.ts';

/** The reason by stream. `providers`: all configured ones, including disabled ones. */
export function strandedStreams(
  policy: Policy,
  providers: readonly ProviderFacts[],
): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(policy.streams).flatMap(([name, stream]): Array<[string, string]> => {
      const able = providers.filter((facts) => mayEverServe(facts, stream, policy));
      if (able.length >= stream.redundancy) return [];
      const head =
        able.length === 0
          ? 'no provider may carry it'
          : `${able.length} of the ${stream.redundancy} providers that it asks for may carry it`;
      const refused = providers
        .filter((facts) => !able.includes(facts))
        .map((facts) => `${facts.name}: ${whyNot(facts, stream, policy)}`);
      return [[name, `${head} (${refused.join('; ')})`]];
    }),
  );
}

function whyNot(facts: ProviderFacts, stream: StreamPolicy, policy: Policy): string {
  return standingRefusals(facts, stream, policy)
    .map((refusal) => refusalText(refusal, facts, stream, policy))
    .join(', ');
}

function refusalText(
  refusal: Refusal,
  { region, certifications }: ProviderFacts,
  stream: StreamPolicy,
  { compliance }: Policy,
): string {
  if (refusal === 'residency') return `region ${region} is not in zone ${stream.data_residency}`;
  if (refusal !== 'certification') return refusal;
  const missing = compliance.required_certifications.filter((name) => !certifications.includes(name));
  return missing
    .map((name) => {
      const hint = certificationHint(name, compliance.own_certifications);
      return `lacks certification "${name}"${hint === null ? '' : `, which is not known: ${hint}`}`;
    })
    .join(', ');
}
