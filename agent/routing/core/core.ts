/**
 * The routing core: which providers may take an envelope, which one should, and the deadline of a try. Pure
 * (I11). The driver, live-routing.ts, feeds it outcomes and ticks and carries out its effects. SPEC.md lists
 * its guarantees.
 */
import { deadlineMs as deadlineOf, uploadMs as uploadOf } from './deadline.ts';
import { mayEverServe } from './eligibility.ts';
import { hedgeDelayMs as hedgeDelayOf, mayHedge } from './hedge.ts';
import { isLiveSize } from './provider.ts';
import { dealt } from './shares.ts';
import { providerNamed, type RoutingState, type Share, streamNamed } from './state.ts';

export { explain, type ProviderExplanation, type ProviderStatus, providerStatus } from './explain.ts';
export { memoryOf, type RoutingMemory } from './memory.ts';
export type { HoldReason } from './reasons.ts';
export { assessedThen, type ProviderInputs, scoreInputsOf } from './score-inputs.ts';
export type { RoutingState } from './state.ts';
export { type Effect, initialState, type RoutingEvent, transition } from './transition.ts';
export { mayEverServe, mayHedge };

/**
 * Providers that may take an envelope of this stream now, best first: the chosen one, then by preference and
 * score. Never a provider in `exclude` or one that a gate refuses (I4). Empty for a stream that the policy
 * does not name: its residency is unknown, so its records wait.
 *
 * `turn` is the number of the envelope, counted by the caller. Where several providers share the stream, it
 * decides which comes first; 0 is the turn of the best.
 */
export function candidates(
  state: RoutingState,
  stream: string,
  exclude: ReadonlySet<string>,
  turn = 0,
): string[] {
  const known = streamNamed(state, stream);
  if (!known) return [];
  const open = known.ranked.filter((name) => !exclude.has(name));
  const first = dealt(known.shares, exclude, turn);
  return first === null ? open : [first, ...open.filter((name) => name !== first)];
}

/**
 * Providers that may take the stream now or later: they may be down or on hold, but not refused permanently.
 */
export function possible(state: RoutingState, stream: string): string[] {
  const known = streamNamed(state, stream);
  if (!known) return [];
  return state.providers
    .filter(({ facts }) => mayEverServe(facts, known.policy, state.policy))
    .map(({ facts }) => facts.name);
}

/** The providers that get the stream's envelopes first, with their shares; several for a shared stream. */
export function sharesOf(state: RoutingState, stream: string): readonly Share[] {
  return streamNamed(state, stream)?.shares ?? [];
}

/**
 * Deadline of one try at this provider, in milliseconds, from its present latency, bounded by the policy. It
 * grows with `bytes`, the size of the envelope, to allow for a slow uplink.
 */
export function deadlineMs(state: RoutingState, provider: string, bytes = 0): number {
  const { failover } = state.policy;
  const known = providerNamed(state, provider);
  return known ? deadlineOf(known, failover, bytes) : failover.deadline_max;
}

/** Time of the next try of a single record that was not accepted in `missedMs`. */
export function uploadMs(state: RoutingState, bytes: number, missedMs: number): number {
  return uploadOf(state.policy.failover, bytes, missedMs);
}

/** Whether an envelope is larger than live ones: then a missed deadline may be the uplink's. */
export function isLarge(state: RoutingState, bytes: number): boolean {
  return !isLiveSize(bytes, state.policy);
}

/**
 * Milliseconds after which a try of `bytes` at this provider is hedged, if {@link mayHedge} and another
 * provider may take it; null: never.
 */
export function hedgeDelayMs(state: RoutingState, provider: string, bytes = 0): number | null {
  const known = providerNamed(state, provider);
  return known ? hedgeDelayOf(known, state.policy, bytes) : null;
}
