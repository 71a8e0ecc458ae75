/** Limits that a provider enforces without reporting them, see agent/routing/core/silent-limit.ts. */
import t from 'tap';
import {
  afterAcceptance,
  afterCut,
  afterLimitPause,
  NO_SILENT_LIMIT,
  type SilentLimit,
  withQuotaUsed,
} from '../../../../agent/routing/core/silent-limit.ts';

const NOW_MS = 1_000_000;

/** Unanswered cuts, a second apart, from `fromMs` on. */
function cutOff(limit: SilentLimit, times: number, fromMs = NOW_MS): SilentLimit {
  return Array.from({ length: times }, (_, i) => fromMs + i * 1000).reduce(
    (before, atMs) => afterCut(before, 'unanswered', atMs),
    limit,
  );
}

t.test('two late cuts within a minute hold it, two that are further apart do not (SPEC 22)', (t) => {
  const first = afterCut(NO_SILENT_LIMIT, 'late', NOW_MS);
  t.equal(first.hold, null);
  t.same(afterCut(first, 'late', NOW_MS + 59_000).hold, {
    reason: 'throttled',
    untilMs: NOW_MS + 69_000,
  });
  t.equal(afterCut(first, 'late', NOW_MS + 60_000).hold, null);
  t.end();
});

t.test('four unanswered cuts in a row hold it, an acceptance between them begins anew (SPEC 22)', (t) => {
  const three = cutOff(NO_SILENT_LIMIT, 3);
  t.equal(three.hold, null);
  t.match(cutOff(three, 1).hold, { reason: 'throttled' });
  t.equal(cutOff(afterAcceptance(three), 3).hold, null);
  t.end();
});

t.test('pauses double to a minute, and are short again after ten minutes (SPEC 22)', (t) => {
  const pauses: number[] = [];
  let limit = NO_SILENT_LIMIT;
  let nowMs = NOW_MS;
  for (let i = 0; i < 5; i++) {
    limit = afterAcceptance(limit);
    for (let cut = 0; cut < 2; cut++) limit = afterCut(limit, 'late', nowMs);
    const untilMs = limit.hold?.untilMs ?? nowMs;
    pauses.push(untilMs - nowMs);
    t.equal(afterLimitPause(limit, untilMs - 1), limit);
    limit = afterLimitPause(limit, untilMs);
    t.equal(limit.hold, null);
    nowMs = untilMs;
  }
  t.same(pauses, [10_000, 20_000, 40_000, 60_000, 60_000]);
  nowMs += 600_000;
  for (let cut = 0; cut < 2; cut++) limit = afterCut(limit, 'late', nowMs);
  t.equal(limit.hold?.untilMs, nowMs + 10_000);
  t.end();
});

t.test('our own count decides between throttling and the quota, and so do holds in vain (SPEC 22)', (t) => {
  t.match(cutOff(withQuotaUsed(NO_SILENT_LIMIT, 0.49), 4).hold, { reason: 'throttled' });
  t.match(cutOff(withQuotaUsed(NO_SILENT_LIMIT, 0.5), 4).hold, { reason: 'quota-exhausted' });
  const reasons: Array<string | undefined> = [];
  let limit = cutOff(NO_SILENT_LIMIT, 3);
  let nowMs = NOW_MS;
  for (let hold = 0; hold < 4; hold++) {
    limit = afterCut(limit, 'unanswered', nowMs);
    reasons.push(limit.hold?.reason);
    nowMs = limit.hold?.untilMs ?? nowMs;
    limit = afterLimitPause(limit, nowMs);
  }
  t.same(reasons, ['throttled', 'throttled', 'throttled', 'quota-exhausted'], 'one cut after each is enough');
  const well = afterAcceptance(limit);
  t.equal(cutOff(well, 3, nowMs).hold, null, 'something was accepted: from the beginning');
  t.end();
});

t.test('the quota is whole again with the day: our own count falls (SPEC 22)', (t) => {
  const held = cutOff(withQuotaUsed(NO_SILENT_LIMIT, 0.9), 4);
  t.equal(withQuotaUsed(held, 0.9), held);
  t.match(withQuotaUsed(held, 0.95).hold, { reason: 'quota-exhausted' });
  t.equal(withQuotaUsed(held, 0).hold, null);
  const throttled = cutOff(withQuotaUsed(NO_SILENT_LIMIT, 0.2), 4);
  t.match(withQuotaUsed(throttled, 0).hold, { reason: 'throttled' }, 'a limit of the rate knows no day');
  t.end();
});

t.test('nothing it remembers grows without a bound (I10) (SPEC 22)', (t) => {
  let limit = NO_SILENT_LIMIT;
  for (let i = 0; i < 1000; i++) {
    limit = afterLimitPause(afterCut(afterAcceptance(limit), 'late', NOW_MS + i * 1000), NOW_MS + i * 1000);
  }
  t.ok(limit.lateCutsMs.length <= 2 && limit.throttledMs.length <= 8);
  t.end();
});
