/**
 * What a score is made of that neither policy nor configuration says: kept by the history, so that scores of
 * the past can be made again by the functions that made them then.
 */
import type { Policy, ProviderFacts } from '../../../shared/policy/policy.ts';
import type { Measurements } from '../../../shared/scoring/inputs.ts';
import { type Assessment, assess } from './assess.ts';
import type { HealthKind } from './health.ts';
import { recalledProvider } from './memory.ts';
import type { HoldReason } from './reasons.ts';
import { newProvider, newStream, type RoutingState } from './state.ts';
import { EMPTY_WINDOW } from './window.ts';

/** Of one provider at one moment. */
export interface ProviderInputs {
  provider: string;
  measured: Measurements;
  /** What is expected where samples are few. */
  typicalLatencyMs: number;
  unitsThisMonth: number;
}

/** What is known of one provider at a moment of the past. */
export interface ProviderThen {
  facts: ProviderFacts;
  health: HealthKind;
  holds: readonly HoldReason[];
  /**
   * Null where it was not recorded: whether the provider was eligible is right all the same, its score is
   * not.
   */
  inputs: ProviderInputs | null;
}

export function scoreInputsOf({ providers }: RoutingState): ProviderInputs[] {
  return providers.map(({ facts, window, typicalLatencyMs, unitsThisMonth }) => {
    const { accepted, tries, latencySamples, latencyP50Ms, latencyP95Ms, goodput } = window;
    const measured = { accepted, tries, latencySamples, latencyP50Ms, latencyP95Ms, goodput };
    return { provider: facts.name, measured, typicalLatencyMs, unitsThisMonth };
  });
}

/**
 * How the providers stood to a stream then, in the order given; empty for a stream that the policy does not
 * name.
 */
export function assessedThen(
  policy: Policy,
  streamName: string,
  providers: readonly ProviderThen[],
): Assessment[] {
  const stream = Object.hasOwn(policy.streams, streamName) ? policy.streams[streamName] : undefined;
  if (!stream) return [];
  const state: RoutingState = {
    nowMs: 0,
    policy,
    providers: providers.map((then) => stateThen(then, policy)),
    streams: [],
    hedgesSaved: 0,
    isThrifty: false,
  };
  return assess(state, newStream(streamName, stream, 0));
}

function stateThen(
  { facts, health, holds, inputs }: ProviderThen,
  policy: Policy,
): RoutingState['providers'][number] {
  const fresh = newProvider(facts, 0);
  const memory = {
    name: facts.name,
    health,
    throttled: false,
    forMs: 0,
    restMs: 0,
    pauseMs: 0,
    onTrial: false,
    openedMs: [],
    typicalLatencyMs: inputs?.typicalLatencyMs ?? fresh.typicalLatencyMs,
    usualP95Ms: null,
    probesOwedUsd: 0,
  };
  return {
    ...recalledProvider(fresh, { providers: [memory], streams: [] }, policy, 0, 0),
    holds,
    window: { ...EMPTY_WINDOW, ...inputs?.measured },
    unitsThisMonth: inputs?.unitsThisMonth ?? 0,
  };
}
