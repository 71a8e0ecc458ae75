/**
 * A stream's state as the columns of a row, for all SQL engines.
 *
 * An epoch that is sealed and complete, and whose records have all left, is one small row (I2): its seen set
 * is everything up to its end that was not given up, and all of it is withdrawn. Both sets are then stored as
 * empty and restored from the other columns.
 */
import { IntervalSet } from '../../../shared/interval-set.ts';
import type { GivenUp } from '../rules/given-up.ts';
import { NO_PROOF, type Proof } from '../rules/proof.ts';
import type { StreamState, Withdrawn } from '../rules/rules.ts';

export interface StateColumns {
  seen: Uint8Array;
  gapQuota: Uint8Array;
  gapAge: Uint8Array;
  gapCorruption: Uint8Array;
  /** The sets of later reasons, one after the other; null while all are empty. */
  gapOther: Uint8Array | null;
  /** Null while no id is withdrawn. */
  withdrawn: Uint8Array | null;
  sealedAt: number | null;
  duplicates: number;
  conflicts: number;
  /** Null while no verified envelope has come, and no unverified record. */
  proof: Uint8Array | null;
}

export function encodeState(state: StreamState): StateColumns {
  const closed = isClosed(state);
  return {
    seen: closed ? new Uint8Array() : state.seen.encode(),
    gapQuota: state.givenUp.quota.encode(),
    gapAge: state.givenUp.age.encode(),
    gapCorruption: state.givenUp.corruption.encode(),
    gapOther: encodeOther(state.givenUp),
    withdrawn: encodeWithdrawn(state.withdrawn, closed),
    sealedAt: state.sealedAt,
    duplicates: state.duplicates,
    conflicts: state.conflicts,
    proof: encodeProof(state.proof),
  };
}

export function decodeState(row: StateColumns): StreamState {
  const [tooLarge, rejected] = decodeSets(row.gapOther, OTHER_REASONS.length);
  const givenUp: GivenUp = {
    quota: IntervalSet.decode(row.gapQuota),
    age: IntervalSet.decode(row.gapAge),
    corruption: IntervalSet.decode(row.gapCorruption),
    'too-large': tooLarge ?? IntervalSet.empty(),
    rejected: rejected ?? IntervalSet.empty(),
  };
  const { withdrawn, closed } = decodeWithdrawn(row.withdrawn);
  const { sealedAt, duplicates, conflicts } = row;
  const counts = { givenUp, sealedAt, duplicates, conflicts, proof: decodeProof(row.proof) };
  if (!closed || sealedAt === null) return { ...counts, seen: IntervalSet.decode(row.seen), withdrawn };
  const seen = Object.values(givenUp).reduce(
    (rest, gaps) => rest.difference(gaps),
    IntervalSet.of([{ first: 1, last: sealedAt }]),
  );
  const retention = seen.difference(withdrawn.erasure).difference(withdrawn.quarantine);
  return { ...counts, seen, withdrawn: { ...withdrawn, retention } };
}

/** Reasons without a column of their own, in the order of their sets in `gapOther`; append only. */
const OTHER_REASONS = ['too-large', 'rejected'] as const;

function encodeOther(givenUp: GivenUp): Uint8Array | null {
  const sets = OTHER_REASONS.map((reason) => givenUp[reason]);
  if (sets.every(({ size }) => size === 0)) return null;
  return Buffer.concat(sets.flatMap((set) => withLength(set.encode())));
}

/** Sets with their lengths; at most `count`, fewer in older rows. */
function decodeSets(column: Uint8Array | null, count: number): IntervalSet[] {
  const bytes = Buffer.from(column ?? []);
  const sets: IntervalSet[] = [];
  for (let at = 0; at < bytes.length && sets.length < count; ) {
    const start = at + LENGTH_BYTES;
    at = start + bytes.readUInt32BE(at);
    sets.push(IntervalSet.decode(bytes.subarray(start, at)));
  }
  return sets;
}

function withLength(bytes: Uint8Array): Uint8Array[] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}

const IS_SIGNED = 1;

/** A byte of flags, then the two sets. */
function encodeProof({ isSigned, unverified, waived }: Proof): Uint8Array | null {
  if (!isSigned && unverified.size === 0) return null;
  const sets = [unverified, waived].flatMap((set) => withLength(set.encode()));
  return Buffer.concat([Buffer.of(isSigned ? IS_SIGNED : 0), ...sets]);
}

function decodeProof(column: Uint8Array | null): Proof {
  if (column === null) return NO_PROOF;
  const [unverified = IntervalSet.empty(), waived = IntervalSet.empty()] = decodeSets(column.subarray(1), 2);
  return { isSigned: column[0] === IS_SIGNED, unverified, waived };
}

/** Bytes of the length before each set. */
const LENGTH_BYTES = 4;
/** Replaces the length of the first set: it holds all seen ids that are in none of the others. */
const THE_REST = 0xffff_ffff;

function isClosed({ seen, givenUp, withdrawn, sealedAt }: StreamState): boolean {
  const { retention, erasure, quarantine } = withdrawn;
  if (sealedAt === null || retention.size === 0) return false;
  const given = Object.values(givenUp);
  const known = given.reduce((size, set) => size + set.size, seen.size);
  const highest = Math.max(seen.max, ...given.map(({ max }) => max));
  const gone = retention.size + erasure.size + quarantine.size;
  return known === sealedAt && highest === sealedAt && gone === seen.size;
}

/** The three sets, one after the other. */
function encodeWithdrawn({ retention, erasure, quarantine }: Withdrawn, closed: boolean): Uint8Array | null {
  const sets = [retention, erasure, quarantine];
  if (sets.every(({ size }) => size === 0)) return null;
  return Buffer.concat(
    sets.flatMap((set, i) => {
      const isRest = closed && i === 0;
      const bytes = isRest ? new Uint8Array() : set.encode();
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(isRest ? THE_REST : bytes.length);
      return [length, bytes];
    }),
  );
}

function decodeWithdrawn(column: Uint8Array | null): { withdrawn: Withdrawn; closed: boolean } {
  const bytes = Buffer.from(column ?? []);
  const closed = column !== null && bytes.readUInt32BE(0) === THE_REST;
  let at = closed ? LENGTH_BYTES : 0;
  const next = (): IntervalSet => {
    if (column === null) return IntervalSet.empty();
    const start = at + LENGTH_BYTES;
    at = start + bytes.readUInt32BE(at);
    return IntervalSet.decode(bytes.subarray(start, at));
  };
  const retention = closed ? IntervalSet.empty() : next();
  return { withdrawn: { retention, erasure: next(), quarantine: next() }, closed };
}
