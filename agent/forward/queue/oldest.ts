/** How old records are that were in the buffer before this process was (I7). */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { EpochInfo } from '../../store/types.ts';
import type { Buffer } from '../buffer.ts';
import type { StreamQueue } from './stream-queue.ts';

/** Asks the buffer how old the queue's oldest row is, where it alone knows. Never rejects. */
export async function dateOldest(queue: StreamQueue, store: Pick<Buffer, 'read'>): Promise<void> {
  const seq = queue.undatedRow();
  if (seq === null) return;
  const rows = await store.read(queue.epoch, queue.stream, seq, seq, 1).catch(() => []); // Asked again in a second.
  const [row] = rows;
  if (row) queue.dated(seq, row.monoMs);
}

/**
 * From monotonic time of an epoch to that of this boot, `present`. A time of another boot is before this one:
 * by how much is known where both had a synchronised clock; otherwise it counts as the beginning of this
 * boot, so that an age is never too great.
 */
export function inBootOf(
  present: EnvelopeClock,
  epochs: readonly EpochInfo[],
): (epoch: string, atMs: number) => number {
  const clocks = new Map(epochs.map(({ epoch, clock }) => [epoch, clock]));
  return (epoch, atMs) => {
    const clock = clocks.get(epoch) ?? present;
    if (clock.bootId === present.bootId) return atMs;
    const isKnown = clock.quality === 'synchronised' && present.quality === 'synchronised';
    return isKnown ? Math.min(0, atMs + clock.offsetMs - present.offsetMs) : 0;
  };
}
