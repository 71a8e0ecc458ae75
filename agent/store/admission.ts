/** Checks on the main thread whether there is room for one more record, before it is queued (I10). Pure. */
import { limitsOf, type StoreLimits } from './limits.ts';
import { type Room, StoreError } from './types.ts';

/** Bound on the sizes of all records that wait for the disk. */
const QUEUE_BYTES_MAX = 64 * 2 ** 20;

export const NO_ROOM_TAKEN: Room = { usedBytes: 0, lowestPriority: null, streamBytes: {} };

/** Null when the record is admitted. `queuedBytes` includes the new record. */
export function noRoom(
  limits: StoreLimits,
  room: Room,
  stream: string,
  queuedBytes: number,
): StoreError | null {
  if (queuedBytes > QUEUE_BYTES_MAX) {
    return new StoreError('overloaded', `${queuedBytes} bytes wait for the disk`);
  }
  const { usedBytes, lowestPriority, streamBytes } = room;
  const { maxBytes } = limits;
  const { priority, maxBytes: ownMax, whenFull } = limitsOf(limits, stream);
  // Evicted records have at most the new record's priority. When the file exceeds its bound already, the
  // previous eviction is unfinished.
  const mayEvict = usedBytes <= maxBytes && lowestPriority !== null && lowestPriority <= priority;
  if (usedBytes + queuedBytes > maxBytes && !mayEvict) {
    return new StoreError('full', `the buffer holds ${usedBytes} of ${maxBytes} bytes`);
  }
  const held = streamBytes[stream] ?? 0;
  if (ownMax !== null && whenFull === 'reject' && held + queuedBytes > ownMax) {
    return new StoreError('full', `stream ${stream} holds ${held} of ${ownMax} bytes`);
  }
  return null;
}
