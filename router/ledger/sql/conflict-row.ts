/** Two versions under one id as the columns of one row, the same in every SQL engine. */
import type { LedgerConflict, RecordVersion } from '../types.ts';

type Held = { [Name in keyof RecordVersion as `held${Capitalize<Name>}`]: RecordVersion[Name] };

/** The version kept aside, and the one that stands. */
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
