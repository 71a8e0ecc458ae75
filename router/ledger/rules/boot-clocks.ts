/**
 * For each boot of a gateway, how its monotonic time maps to wall time by its own synchronised clock. Records
 * that came with an unsynchronised mapping of the same boot are read with this one (I7), whichever came
 * first, and whether it came with records, gaps or a heartbeat.
 */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { LedgerEntry, LedgerRecord } from '../types.ts';

/** A clock is steered all the time; a smaller move is not worth a write. */
export const BOOT_CLOCK_WRITE_MS = 50;

export interface BootClock {
  gateway: string;
  bootId: string;
  offsetMs: number;
}

/** What the entries teach, the latest word on each boot. */
export function bootClocksOf(entries: readonly LedgerEntry[]): BootClock[] {
  const latest = new Map<string, BootClock>();
  for (const { envelope } of entries) {
    const { gateway, clock } = envelope;
    const { bootId, offsetMs, quality } = clock;
    if (quality === 'synchronised')
      latest.set(JSON.stringify([gateway, bootId]), { gateway, bootId, offsetMs });
  }
  return [...latest.values()];
}

/**
 * The wall time of a record, and how it is known. `bootOffsetMs`: what its boot taught, null when nothing.
 */
export function wallTimeOf(
  monoMs: number,
  offsetMs: number,
  quality: EnvelopeClock['quality'],
  bootOffsetMs: number | null,
): Pick<LedgerRecord, 'wallMs' | 'clockQuality'> {
  if (quality === 'unsynchronised' && bootOffsetMs !== null) {
    return { wallMs: monoMs + bootOffsetMs, clockQuality: 'corrected' };
  }
  return { wallMs: monoMs + offsetMs, clockQuality: quality };
}
