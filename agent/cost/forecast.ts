/** Forecast of a month's cost. Pure (I11). */
import { DAY_MS, monthEndMs } from './calendar.ts';

/** With less than a day of data, a plant that works by day would be misjudged. */
const DATA_MIN_MS = DAY_MS;

/**
 * The amount of the present month at its end, extrapolated linearly from `sinceMs`, the beginning of this
 * month's count. Null while less than a day was counted. A price tier or free allotment that ends later in
 * the month is not foreseen.
 */
export function monthForecast(amount: number, sinceMs: number, nowMs: number): number | null {
  const countedMs = nowMs - sinceMs;
  if (countedMs < DATA_MIN_MS) return null;
  return amount + (amount / countedMs) * (monthEndMs(nowMs) - nowMs);
}
