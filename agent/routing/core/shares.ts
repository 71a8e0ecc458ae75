/**
 * How a stream's envelopes are shared out. Most go to one provider. Two kinds of stream have several at a
 * time: one with `mode: split`, whose envelopes go to all that are eligible by weight; and one that returns
 * to a provider after an outage, which gets a tenth, then half of them before it gets all, so that what
 * probes did not show costs few envelopes.
 *
 * Who has a share is a matter of state, who gets an envelope one of its turn: the multiples of the golden
 * ratio fill the interval [0, 1) evenly from wherever one starts, so any run of turns is shared out as asked,
 * without a count of what went where. When a provider is refused, the others' shares are of the whole again,
 * and with them the next turn.
 */
import { type Assessment, DEGRADED_FACTOR } from './assess.ts';
import type { Choice } from './choose.ts';
import { flapPenaltyMs } from './provider.ts';
import type { RoutingState, Share, StreamState } from './state.ts';

/** The fraction that the golden ratio leaves, whose multiples are spread most evenly. */
const GOLDEN = 0.618_033_988_749_894_9;

/** After dwell and penalty: a tenth shows what probes do not, half shows that it bears load. */
const RETURN_STEPS = [
  { untilMs: 5000, part: 0.1 },
  { untilMs: 10_000, part: 0.5 },
] as const;

/** Best first. The stream's `chosen` and `ranked` are as they are from now on. */
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
 * The provider that a stream leaves by and by, after a choice or none: it returns to one that was out, by
 * choice, from one that works well. Null: nothing is left (any more).
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

/** One failure, and it gets nothing until it has accepted something again. */
function isUnharmed({ provider: { health } }: Assessment): boolean {
  return health.kind === 'healthy' && health.failures === 0;
}

/** Whose turn it is, of those with a share that are not in `exclude`; null: nobody's. */
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

/** The steady ones by their weight; where none is steady, whoever may take it. */
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
    // Scores of nothing share evenly.
    part: whole > 0 ? (weights[i] ?? 0) / whole : 1 / taking.length,
  }));
}

/** As the policy has it; the standing where it names nobody. */
function weightOf({ policy }: StreamState, { provider, standing }: Assessment): number {
  const { shares } = policy;
  if (Object.keys(shares).length === 0) return standing;
  const { name } = provider.facts;
  const weight = Object.hasOwn(shares, name) ? (shares[name] ?? 0) : 0;
  return provider.health.kind === 'degraded' ? weight * DEGRADED_FACTOR : weight;
}

/** Proven, and after an outage past its trial, the dwell and its flap penalty: as for a failback. */
function isSteady({ policy, nowMs }: RoutingState, { provider }: Assessment): boolean {
  const { health, proven, onTrial } = provider;
  if (!proven || onTrial) return false;
  if (health.reason !== 'proven') return true;
  return nowMs >= health.sinceMs + policy.failover.dwell + flapPenaltyMs(provider, policy.failover, nowMs);
}
