/**
 * The epochs of the buffer that get the present clock (I7): the present epoch, and epochs of the same boot
 * that ended before the clock was synchronised. Their records count monotonic time from the same zero, so the
 * present mapping is right for them too. An epoch of another boot, or one that was synchronised itself, keeps
 * its clock.
 *
 * Pure: no clock, no I/O (I11).
 */
import type { EnvelopeClock } from '../../shared/envelope/envelope.ts';

/** A smaller move of the wall clock is not worth a write. */
const CLOCK_WRITE_MS = 50;

/** `kept`: the stored clock of each epoch. */
export function epochsToCorrect(
  kept: ReadonlyMap<string, EnvelopeClock>,
  present: string,
  now: EnvelopeClock,
): string[] {
  return [...kept].flatMap(([epoch, clock]) => {
    const isOutdated = epoch === present ? differs(clock, now) : isLearntLater(clock, now);
    return isOutdated ? [epoch] : [];
  });
}

function differs(kept: EnvelopeClock, now: EnvelopeClock): boolean {
  const moved = Math.abs(now.offsetMs - kept.offsetMs) >= CLOCK_WRITE_MS;
  return moved || now.quality !== kept.quality || now.bootId !== kept.bootId;
}

function isLearntLater(kept: EnvelopeClock, now: EnvelopeClock): boolean {
  return kept.bootId === now.bootId && kept.quality === 'unsynchronised' && now.quality === 'synchronised';
}
