/** The two versions of a conflict as the columns of one row, for all SQL engines. */
import type { LedgerConflict, RecordVersion } from '../types.ts';

type Held = { [Name in keyof RecordVersion as `held${Capitalize<Name>}`]: RecordVersion[Name] };

/** The version kept aside, and the standing version. */
export type ConflictRow = Omit<LedgerConflict, 'held' | 'other'> & RecordVersion & Held;

export function conflictOf(row: ConflictRow): LedgerConflict {
  const { gateway, epoch, stream, seq, device, topic, payload, monoMs, source, receivedWallMs } = row;
  return {
    gateway,
    epoch,
    stream,
    seq,
    held: {
      device: row.heldDevice,
      topic: row.heldTopic,
      payload: row.heldPayload,
      monoMs: row.heldMonoMs,
      source: row.heldSource,
      receivedWallMs: row.heldReceivedWallMs,
    },
    other: { device, topic, payload, monoMs, source, receivedWallMs },
  };
}
