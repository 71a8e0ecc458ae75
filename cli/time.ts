/** Times given by a user. */
import { wallMsOf } from '../shared/clock.ts';
import { duration } from '../shared/config/kinds.ts';

const ISO = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/;

export const TIME_FORMS = 'expected a time such as 2026-11-21T08:30Z, a day, or how long ago, such as 90m';

/** Wall-clock milliseconds; null for any other text. A day means its start in UTC. */
export function parseTime(text: string, nowMs: number): number | null {
  const ago = duration().safeParse(text);
  if (ago.success) return nowMs - ago.data;
  const wallMs = ISO.test(text) ? wallMsOf(text) : Number.NaN;
  return Number.isNaN(wallMs) ? null : wallMs;
}
