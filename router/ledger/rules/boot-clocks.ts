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
  /** From a verified envelope. The first mapping of a boot stands until a verified one comes. */
  verified: boolean;
}

/** The mappings in the entries, the latest verified one for each boot, or the first of the others. */
export function bootClocksOf(entries: readonly LedgerEntry[]): BootClock[] {
  const latest = new Map<string, BootClock>();
  for (const { envelope, verified } of entries) {
    const { gateway, clock } = envelope;
    const { bootId, offsetMs, quality } = clock;
    const boot = JSON.stringify([gateway, bootId]);
    if (quality === 'synchronised' && (verified || !latest.has(boot)))
      latest.set(boot, { gateway, bootId, offsetMs, verified });
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
