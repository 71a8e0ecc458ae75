/** A stream's state as the columns of a row, the same in every SQL engine. */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { StreamState, Withdrawn } from './rules.ts';

export interface StateColumns {
  seen: Uint8Array;
  gapQuota: Uint8Array;
  gapAge: Uint8Array;
  gapCorruption: Uint8Array;
  /** Null while nothing is. */
  withdrawn: Uint8Array | null;
  sealedAt: number | null;
  duplicates: number;
  conflicts: number;
}

export function encodeState(state: StreamState): StateColumns {
  return {
    seen: state.seen.encode(),
    gapQuota: state.givenUp.quota.encode(),
    gapAge: state.givenUp.age.encode(),
    gapCorruption: state.givenUp.corruption.encode(),
    withdrawn: encodeWithdrawn(state.withdrawn),
    sealedAt: state.sealedAt,
    duplicates: state.duplicates,
    conflicts: state.conflicts,
  };
}

export function decodeState(row: StateColumns): StreamState {
  return {
    seen: IntervalSet.decode(row.seen),
    givenUp: {
      quota: IntervalSet.decode(row.gapQuota),
      age: IntervalSet.decode(row.gapAge),
      corruption: IntervalSet.decode(row.gapCorruption),
    },
    withdrawn: decodeWithdrawn(row.withdrawn),
    sealedAt: row.sealedAt,
    duplicates: row.duplicates,
    conflicts: row.conflicts,
  };
}

/** Bytes of each set's length before it. */
const LENGTH_BYTES = 4;

/** The three sets, one after the other. */
function encodeWithdrawn({ retention, erasure, quarantine }: Withdrawn): Uint8Array | null {
  const sets = [retention, erasure, quarantine];
  if (sets.every(({ size }) => size === 0)) return null;
  return Buffer.concat(
    sets.flatMap((set) => {
      const bytes = set.encode();
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

function decodeWithdrawn(column: Uint8Array | null): Withdrawn {
  const bytes = Buffer.from(column ?? []);
  let at = 0;
  const next = (): IntervalSet => {
    if (column === null) return IntervalSet.empty();
    const start = at + LENGTH_BYTES;
    at = start + bytes.readUInt32BE(at);
    return IntervalSet.decode(bytes.subarray(start, at));
  };
  return { retention: next(), erasure: next(), quarantine: next() };
}
