/** The part of the policy that intake follows. */
import type { Policy, ProviderFacts } from '../../shared/policy/policy.ts';
import type { IntakeRules } from '../broker/intake.ts';
import type { AgentConfig } from './config.ts';
import { envelopeLimits, streamLimits } from './envelope-limits.ts';

/** `facts`: of the providers that the configuration switches on. */
export function intakeRules(
  config: AgentConfig,
  policy: Policy,
  facts: readonly ProviderFacts[],
): IntakeRules {
  return {
    streams: Object.entries(policy.streams).map(([name, { topics: filters }]) => ({ name, filters })),
    envelopeBytes: streamLimits(policy, facts, envelopeLimits(config)),
  };
}
