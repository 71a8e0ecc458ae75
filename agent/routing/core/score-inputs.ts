/**
 * The inputs of a score that are neither in the policy nor in the configuration. The history records them, so
 * that the same functions can compute the scores of a past moment.
 */
import type { Policy, ProviderFacts } from '../../../shared/policy/policy.ts';
import type { Measurements } from '../../../shared/scoring/inputs.ts';
import { type Assessment, assess } from './assess.ts';
import type { HealthKind } from './health.ts';
import { recalledProvider } from './memory.ts';
import type { HoldReason } from './reasons.ts';
import { newProvider, newStream, type RoutingState } from './state.ts';
import { EMPTY_WINDOW } from './window.ts';

/** Inputs of one provider at one moment. */
export interface ProviderInputs {
  provider: string;
  measured: Measurements;
  /** The expected latency where samples are few. */
  typicalLatencyMs: number;
  unitsThisMonth: number;
}

/** The known state of one provider at a past moment. */
export interface ProviderThen {
  facts: ProviderFacts;
  health: HealthKind;
  holds: readonly HoldReason[];
  /** Null where they were not recorded: the eligibility is then still correct, the score is not. */
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
 * The providers' standing for a stream at a past moment, in the given order; empty for a stream that the
 * policy does not name.
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
