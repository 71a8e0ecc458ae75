/**
 * The routing core: which provider may take an envelope, which should, and how long to wait for it. Pure
 * (I11); the driver, live-routing.ts, feeds it outcomes and ticks and carries out its effects. SPEC.md says
 * what it promises.
 */
import { deadlineMs as deadlineOf } from './deadline.ts';
import { mayEverServe } from './eligibility.ts';
import { hedgeDelayMs as hedgeDelayOf, mayHedge } from './hedge.ts';
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
 * score. Never one in `exclude`, never one that a gate refuses (I4). Empty for a stream that the policy does
 * not name: its residency is not known, so its records wait.
 *
 * Where several share the stream, the one whose `turn` it is comes first: the number of the envelope, counted
 * by the caller; 0 is the turn of the best.
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

/** Providers that may take the stream now or in better times: down or on hold, but not refused for good. */
export function possible(state: RoutingState, stream: string): string[] {
  const known = streamNamed(state, stream);
  if (!known) return [];
  return state.providers
    .filter(({ facts }) => mayEverServe(facts, known.policy, state.policy))
    .map(({ facts }) => facts.name);
}

/** Who gets the stream's envelopes first, and which part of them; several where it is shared out. */
export function sharesOf(state: RoutingState, stream: string): readonly Share[] {
  return streamNamed(state, stream)?.shares ?? [];
}

/**
 * Deadline for one try at this provider, in milliseconds, from what it takes there now, bounded by the
 * policy. `bytes` of the envelope give a slow uplink the time to carry them.
 */
export function deadlineMs(state: RoutingState, provider: string, bytes = 0): number {
  const { failover } = state.policy;
  const known = providerNamed(state, provider);
  return known ? deadlineOf(known, failover, bytes) : failover.deadline_max;
}

/**
 * Milliseconds after which a try of `bytes` at this provider goes to another one as well, when {@link
 * mayHedge} and one may take it; null: not at all.
 */
export function hedgeDelayMs(state: RoutingState, provider: string, bytes = 0): number | null {
  const known = providerNamed(state, provider);
  return known ? hedgeDelayOf(known, state.policy, bytes) : null;
}
