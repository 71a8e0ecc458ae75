/**
 * The mapping from monotonic to wall time of each boot of a gateway, from its synchronised clock. Records of
 * the same boot with an unsynchronised mapping are read with this one (I7), in any order of arrival, and
 * whether the mapping came with records, gaps or a heartbeat.
 */
import type { EnvelopeClock } from '../../../shared/envelope/envelope.ts';
import type { LedgerEntry, LedgerRecord } from '../types.ts';

/** A clock is steered all the time; a smaller change is not written. */
export const BOOT_CLOCK_WRITE_MS = 50;

export interface BootClock {
  gateway: string;
  bootId: string;
  offsetMs: number;
}

/** The mappings in the entries, the latest for each boot. */
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

/** The wall time of a record, and its quality. `bootOffsetMs`: the mapping of its boot, null without one. */
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
