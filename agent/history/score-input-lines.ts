/** Converts the inputs of scores to a line of the history, and back. */
import type { ProviderInputs } from '../routing/core/core.ts';
import type { LineOf } from './lines.ts';

export function scoreInputsLine(inputs: readonly ProviderInputs[], nowMs: number): LineOf<'seen'> {
  const p = inputs.map(({ provider, measured, typicalLatencyMs, unitsThisMonth }): [string, Figures] => {
    const { accepted, tries, latencySamples, latencyP50Ms, latencyP95Ms, goodput } = measured;
    return [
      provider,
      [
        accepted,
        tries,
        latencySamples,
        latencyP50Ms === null ? null : rounded(latencyP50Ms, 1),
        latencyP95Ms === null ? null : rounded(latencyP95Ms, 1),
        rounded(goodput, 4),
        rounded(typicalLatencyMs, 1),
        rounded(unitsThisMonth, 0),
      ],
    ];
  });
  return { k: 'seen', m: Math.round(nowMs), p: Object.fromEntries(p) };
}

/** Null when the line does not name the provider. */
export function scoreInputsIn({ p }: LineOf<'seen'>, provider: string): ProviderInputs | null {
  const figures = Object.hasOwn(p, provider) ? p[provider] : undefined;
  if (!figures) return null;
  const [accepted, tries, latencySamples, latencyP50Ms, latencyP95Ms, goodput] = figures;
  const measured = { accepted, tries, latencySamples, latencyP50Ms, latencyP95Ms, goodput };
  return { provider, measured, typicalLatencyMs: figures[6], unitsThisMonth: figures[7] };
}

type Figures = LineOf<'seen'>['p'][string];

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
