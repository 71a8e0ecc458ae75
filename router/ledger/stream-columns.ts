/** A stream's state as the columns of a row, the same in every SQL engine. */
import { IntervalSet } from '../../shared/interval-set.ts';
import type { StreamState } from './rules.ts';

export interface StateColumns {
  seen: Uint8Array;
  gapQuota: Uint8Array;
  gapAge: Uint8Array;
  gapCorruption: Uint8Array;
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
    sealedAt: row.sealedAt,
    duplicates: row.duplicates,
    conflicts: row.conflicts,
  };
}
