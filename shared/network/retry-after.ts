/** The Retry-After of an HTTP answer (RFC 9110, 10.2.3): seconds, or a date. Pure. */
import { wallMsOf } from '../clock.ts';

/** A longer wait than this is not understood as one (I10). */
const WAIT_MS_MAX = 86_400_000;
/** The three forms of a date (RFC 9110, 5.6.7), which are all of GMT; the oldest does not say so. */
const DATE = /^[A-Z][a-z]{2,8},? .*\d{2}:\d{2}:\d{2}/;

/**
 * Milliseconds to wait; null without a value that can be read. A date counts from the answer's own `date`,
 * since the clock of a gateway may be wrong, or from `wallMs` where the answer has none.
 */
export function retryAfterMs(
  value: string | null | undefined,
  { date, wallMs }: { date?: string | undefined; wallMs?: number },
): number | null {
  const text = value?.trim() ?? '';
  const untilMs = timeOf(text);
  const delayMs = /^\d+$/.test(text)
    ? Number(text) * 1000
    : untilMs - (orElse(timeOf(date), wallMs) ?? Number.NaN);
  return Number.isFinite(delayMs) ? Math.min(WAIT_MS_MAX, Math.max(0, delayMs)) : null;
}

function orElse(ms: number, other: number | undefined): number | undefined {
  return Number.isNaN(ms) ? other : ms;
}

/** Milliseconds since 1970; NaN for text that is no date of HTTP. */
function timeOf(text = ''): number {
  if (!DATE.test(text)) return Number.NaN;
  return wallMsOf(/GMT$/.test(text) ? text : `${text} GMT`);
}
