/** What the month will have cost at its end. Pure (I11). */
import { DAY_MS, monthEndMs } from './calendar.ts';

/** Less than a day says nothing of a plant that works by day. */
const DATA_MIN_MS = DAY_MS;

/**
 * The present month's amount at its end, as if it went on as since `sinceMs`, when the counting of this month
 * began; null while less than a day was counted. Linear: a price tier or free allotment that ends later in
 * the month is not foreseen.
 */
export function monthForecast(amount: number, sinceMs: number, nowMs: number): number | null {
  const countedMs = nowMs - sinceMs;
  if (countedMs < DATA_MIN_MS) return null;
  return amount + (amount / countedMs) * (monthEndMs(nowMs) - nowMs);
}
