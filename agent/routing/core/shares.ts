/**
 * Shares a stream's envelopes among providers. Most streams have one provider. Two kinds have several at a
 * time: a stream with `mode: split`, whose envelopes go to all eligible providers by weight; and a stream
 * that returns to a provider after an outage. The returning provider gets a tenth, then half, then all of the
 * envelopes, so that a fault that probes did not show affects few envelopes.
 *
 * The state holds the shares; the turn of an envelope selects its provider. The multiples of the golden ratio
 * fill the interval [0, 1) evenly from any start, so any run of turns is shared out as intended, without
 * counters. When a provider is refused, the shares of the others are scaled to sum to 1 again.
 */
import { type Assessment, DEGRADED_FACTOR } from './assess.ts';
import type { Choice } from './choose.ts';
import { flapPenaltyMs } from './provider.ts';
import type { RoutingState, Share, StreamState } from './state.ts';

/** Fractional part of the golden ratio, whose multiples are spread most evenly. */
const GOLDEN = 0.618_033_988_749_894_9;

/**
 * Steps after dwell and penalty: a tenth shows faults that probes miss, half shows that the provider bears
 * the load.
 */
const RETURN_STEPS = [
  { untilMs: 5000, part: 0.1 },
  { untilMs: 10_000, part: 0.5 },
] as const;

/** Best first. The stream's `chosen` and `ranked` must be up to date. */
export function sharesOf(
  state: RoutingState,
  stream: StreamState,
  assessments: readonly Assessment[],
): Share[] {
  if (stream.policy.mode === 'split') return splitShares(state, stream, assessments);
  const [first] = stream.ranked;
  if (first === undefined) return [];
  const { leaving } = stream;
  if (leaving === null || !stream.ranked.includes(leaving)) return [{ provider: first, part: 1 }];
  const back = assessments.find(({ provider }) => provider.facts.name === first);
  const part = back && isUnharmed(back) ? returnedPart(stream, state.nowMs) : 0;
  if (part === 0) return [{ provider: leaving, part: 1 }];
  return [
    { provider: first, part },
    { provider: leaving, part: 1 - part },
  ];
}

/**
 * The provider being ramped down, after a choice or without one: the stream returns by choice to a recovered
 * provider, from one that works well. Null: none.
 */
export function leavingAfter(
  stream: StreamState,
  choice: Choice | null,
  assessments: readonly Assessment[],
  nowMs: number,
): string | null {
  const { policy, chosen, leaving } = stream;
  if (!choice) return returnedPart(stream, nowMs) < 1 ? leaving : null;
  const of = (name: string | null) => assessments.find(({ provider }) => provider.facts.name === name);
  const [from, to] = [of(chosen)?.provider.health, of(choice.to)?.provider.health];
  const isReturn = choice.reason === 'preferred' || choice.reason === 'score';
  const isOne = policy.redundancy === 1 && policy.mode !== 'split';
  return isReturn && isOne && to?.reason === 'proven' && from?.kind === 'healthy' ? chosen : null;
}

function returnedPart({ sinceMs }: StreamState, nowMs: number): number {
  return RETURN_STEPS.find(({ untilMs }) => nowMs - sinceMs < untilMs)?.part ?? 1;
}

/** A provider with a failure gets no envelope until it has accepted one again. */
function isUnharmed({ provider: { health } }: Assessment): boolean {
  return health.kind === 'healthy' && health.failures === 0;
}

/** The provider whose turn it is, among those with a share that are not in `exclude`; null without one. */
export function dealt(shares: readonly Share[], exclude: ReadonlySet<string>, turn: number): string | null {
  const open = shares.filter(({ provider }) => !exclude.has(provider));
  const whole = open.reduce((sum, { part }) => sum + part, 0);
  let rest = ((turn * GOLDEN) % 1) * whole;
  for (const { provider, part } of open) {
    if (rest < part) return provider;
    rest -= part;
  }
  return open.at(-1)?.provider ?? null;
}

/** The steady providers by their weight; all eligible ones when none is steady. */
function splitShares(state: RoutingState, stream: StreamState, assessments: readonly Assessment[]): Share[] {
  const eligible = stream.ranked.flatMap((name) =>
    assessments.filter(({ provider }) => provider.facts.name === name),
  );
  const named = eligible.filter((one) => weightOf(stream, one) > 0);
  const sharing = named.length > 0 ? named : eligible;
  const steady = sharing.filter((one) => isSteady(state, one));
  const taking = steady.length > 0 ? steady : sharing;
  const weights = taking.map((one) => (named.length > 0 ? weightOf(stream, one) : one.standing));
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  return taking.map(({ provider }, i) => ({
    provider: provider.facts.name,
    // Scores of zero share evenly.
    part: whole > 0 ? (weights[i] ?? 0) / whole : 1 / taking.length,
  }));
}

/** The policy's weight; the standing where the policy names no weights. */
function weightOf({ policy }: StreamState, { provider, standing }: Assessment): number {
  const { shares } = policy;
  if (Object.keys(shares).length === 0) return standing;
  const { name } = provider.facts;
  const weight = Object.hasOwn(shares, name) ? (shares[name] ?? 0) : 0;
  return provider.health.kind === 'degraded' ? weight * DEGRADED_FACTOR : weight;
}

/** Proven, and after an outage past its trial, dwell and flap penalty: as for a failback. */
function isSteady({ policy, nowMs }: RoutingState, { provider }: Assessment): boolean {
  const { health, proven, onTrial } = provider;
  if (!proven || onTrial) return false;
  if (health.reason !== 'proven') return true;
  return nowMs >= health.sinceMs + policy.failover.dwell + flapPenaltyMs(provider, policy.failover, nowMs);
}
