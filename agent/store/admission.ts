/**
 * Whether there is room for one more record: the main thread's side of the bound, before anything is queued
 * (I10). Pure.
 */
import { limitsOf, type StoreLimits } from './limits.ts';
import { type Room, StoreError } from './types.ts';

/** Sizes of all records that wait for the disk. */
const QUEUE_BYTES_MAX = 64 * 2 ** 20;

export const NO_ROOM_TAKEN: Room = { usedBytes: 0, lowestPriority: null, streamBytes: {} };

/** `queuedBytes`: with the record that asks. Null when it may come in. */
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
  // What is given up for it has at most its own priority. Over the bound already: the last eviction is not
  // done.
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
