/**
 * The claims that the ledger takes from an envelope without a registered key's signature, and the part of a
 * stream that is proven. Pure (I11).
 *
 * A stream whose gateway has signed before takes no gap, no end and no id ahead of the proven ones from an
 * unverified envelope. Any other stream takes them within a bound, because an agent that does not sign yet
 * has no other way.
 */
import type { Envelope } from '../../../shared/envelope/envelope.ts';
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { SeqRange, TelemetryRecord } from '../../../shared/record.ts';
import type { Refused } from '../types.ts';
import type { GivenUp } from './given-up.ts';

/** More ids than the buffer of an agent usually holds: its live records overtake that many in an outage. */
export const UNVERIFIED_JUMP_MAX = 10_000_000;

/** Which ids of a stream the gateway has vouched for by a signature. */
export interface Proof {
  /** A verified envelope of this stream has come. */
  readonly isSigned: boolean;
  /** Seen ids that only unverified envelopes brought. */
  readonly unverified: IntervalSet;
  /** Those of `unverified` that the gateway itself has given up: nothing else will come for them. */
  readonly waived: IntervalSet;
}

/** The part of a stream's state that decides. */
interface StreamState {
  readonly seen: IntervalSet;
  readonly givenUp: GivenUp;
  readonly sealedAt: number | null;
  readonly proof: Proof;
}

export const NO_PROOF: Proof = {
  isSigned: false,
  unverified: IntervalSet.empty(),
  waived: IntervalSet.empty(),
};

/** How an envelope came, as far as the ledger trusts it. */
export interface Standing {
  verified: boolean;
  /** Most ids that an unverified envelope may jump or give up; infinite by an operator's word. */
  jumpMax?: number;
  /** Most separate ranges of the stream. */
  rangesMax?: number;
}

/** The changes that an envelope asks for. */
export interface Asked {
  fresh: readonly TelemetryRecord[];
  /** Newly given up. */
  gaps: readonly SeqRange[];
  sealedAt: number | null;
}

/** Why the ledger does not take an envelope; null when it takes it. */
export function refusalOf(before: StreamState, asked: Asked, standing: Standing): Refused | null {
  const { verified, jumpMax = UNVERIFIED_JUMP_MAX } = standing;
  if (verified || jumpMax === Number.POSITIVE_INFINITY) return null;
  return before.proof.isSigned ? unproven(before, asked) : implausible(before, asked, jumpMax);
}

function unproven(before: StreamState, { fresh, gaps, sealedAt }: Asked): Refused | null {
  const refused = (what: string): Refused => ({
    reason: 'unproven',
    detail: `${what} without a signature, of a stream that the gateway signs`,
  });
  const [gap] = gaps;
  if (gap) return refused(`the gap ${gap.first}-${gap.last}`);
  if (sealedAt !== null && sealedAt !== before.sealedAt) return refused(`the end ${sealedAt}`);
  const last = fresh.at(-1)?.seq ?? 0;
  const proven = before.seen.difference(before.proof.unverified).max;
  const highest = Math.max(proven, highestGivenUp(before), before.sealedAt ?? 0);
  return last > highest ? refused(`id ${last} ahead of ${highest}`) : null;
}

function implausible(before: StreamState, { fresh, gaps, sealedAt }: Asked, jumpMax: number): Refused | null {
  const refused = (what: string): Refused => ({
    reason: 'implausible',
    detail: `${what} without a signature, beyond envelopes.max_unverified_jump (${jumpMax})`,
  });
  const highest = Math.max(before.seen.max, highestGivenUp(before), before.sealedAt ?? 0);
  const widest = Math.max(highest, jumpMax);
  const wide = gaps.find(({ first, last }) => last - first + 1 > widest);
  if (wide) return refused(`the gap ${wide.first}-${wide.last}`);
  // A ledger that is new to a stream has no highest id: its first record may be any.
  const base = highest > 0 ? highest : (fresh[0]?.seq ?? gaps[0]?.first ?? 1) - 1;
  const last = Math.max(fresh.at(-1)?.seq ?? 0, gaps.at(-1)?.last ?? 0);
  if (last > base + jumpMax) return refused(`id ${last} ahead of ${base}`);
  const end = Math.max(base, last) + jumpMax;
  return sealedAt !== null && sealedAt > end ? refused(`the end ${sealedAt}`) : null;
}

/** The proof after an envelope; `records` and `gaps` are all that it has. */
export function proofAfter(
  before: StreamState,
  { records, gaps }: Envelope,
  fresh: readonly TelemetryRecord[],
  verified: boolean,
): Proof {
  const { proof } = before;
  if (!verified) {
    if (fresh.length === 0) return proof;
    const unverified = proof.unverified.clone();
    for (const { seq } of fresh) unverified.add(seq);
    return { ...proof, unverified };
  }
  if (proof.unverified.size === 0) return proof.isSigned ? proof : { ...proof, isSigned: true };
  const unverified = proof.unverified.clone();
  const waived = proof.waived.clone();
  for (const { seq } of records) {
    unverified.remove(seq);
    waived.remove(seq);
  }
  for (const { first, last } of gaps)
    for (const part of unverified.within(first, last)) waived.add(part.first, part.last);
  return { isSigned: true, unverified, waived };
}

/** The seen ids that count for a gateway that signs. */
export function provenSeen({ seen, proof }: StreamState): IntervalSet {
  return proof.unverified.size === 0 ? seen : seen.difference(proof.unverified).union(proof.waived);
}

function highestGivenUp({ givenUp }: StreamState): number {
  return Math.max(...Object.values(givenUp).map(({ max }) => max));
}
