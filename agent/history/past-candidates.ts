/**
 * The providers' standing for a stream at a past moment: the core's own functions applied to the history's
 * data.
 */

import type { PastCandidate } from '../../shared/admin-api/explanation.ts';
import { isoTime } from '../../shared/clock.ts';
import { assessedThen, type HoldReason } from '../routing/core/core.ts';
import { explainedInputs } from '../routing/explained-inputs.ts';
import type { LineOf } from './lines.ts';
import { scoreInputsIn } from './score-input-lines.ts';

export interface Then {
  setup: LineOf<'setup'>;
  /** By provider. A missing entry means healthy, the initial state. */
  health: ReadonlyMap<string, { kind: LineOf<'health'>['to'] }>;
  holds: ReadonlyMap<string, ReadonlySet<HoldReason>>;
  /** Null: an older program did not record them. */
  inputs: { at: number; line: LineOf<'seen'> } | null;
}

export function candidatesThen(
  stream: string,
  chosen: string | null,
  { setup, health, holds, inputs }: Then,
): PastCandidate[] {
  const providers = setup.providers.map((facts) => ({
    facts,
    health: health.get(facts.name)?.kind ?? 'healthy',
    holds: [...(holds.get(facts.name) ?? [])],
    inputs: inputs && scoreInputsIn(inputs.line, facts.name),
  }));
  // Scores are relative: with one provider's inputs missing, those of the others would be wrong too.
  const isKnown = providers.every((provider) => provider.inputs !== null);
  return assessedThen(setup.policy, stream, providers).map((assessment): PastCandidate => {
    const { provider, refusals, preference, scored, standing } = assessment;
    const { name } = provider.facts;
    const { score, parts } = scored;
    return {
      provider: name,
      refusals,
      chosen: name === chosen,
      preference: Number.isFinite(preference) ? preference + 1 : null,
      scored:
        inputs && isKnown
          ? { score, standing, parts, inputs: explainedInputs(scored.inputs), inputsAt: isoTime(inputs.at) }
          : null,
    };
  });
}
