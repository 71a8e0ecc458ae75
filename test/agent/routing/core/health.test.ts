/**
 * The health machine cell by cell. The rows are typed, so a new state or event needs its line here to
 * compile.
 */
import t from 'tap';
import {
  type Health,
  type HealthEventKind,
  type HealthKind,
  healthyAt,
  nextHealth,
} from '../../../../agent/routing/core/health.ts';
import { healthEventOf } from '../../../../agent/routing/core/outcome.ts';
import { policyOf } from './world.ts';

const failover = policyOf({
  failover: { failures_to_open: 2, open_for: '2s', open_max: '20s', probes_to_close: 2 },
}).failover;

const NOW_MS = 100_000;

const SAMPLES: Record<HealthKind, Health> = {
  healthy: { ...healthyAt(1000, 'start'), failures: 1 },
  degraded: { kind: 'degraded', sinceMs: 1000, reason: 'latency', failures: 1 },
  open: { kind: 'open', sinceMs: 1000, reason: 'failures', untilMs: NOW_MS, pauseMs: 4000 },
  probing: {
    kind: 'probing',
    sinceMs: 1000,
    reason: 'pause-over',
    pauseMs: 4000,
    proofs: 1,
    nextProbeMs: 1000,
  },
};

const EXPECTED: Record<HealthKind, Record<HealthEventKind, HealthKind>> = {
  healthy: {
    accepted: 'healthy',
    failed: 'open',
    refused: 'open',
    throttled: 'open',
    'success-bad': 'degraded',
    'latency-bad': 'degraded',
    'signs-good': 'healthy',
    time: 'healthy',
  },
  degraded: {
    accepted: 'degraded',
    failed: 'open',
    refused: 'open',
    throttled: 'open',
    'success-bad': 'degraded',
    'latency-bad': 'degraded',
    'signs-good': 'healthy',
    time: 'degraded',
  },
  open: {
    accepted: 'probing',
    failed: 'open',
    refused: 'open',
    throttled: 'open',
    'success-bad': 'open',
    'latency-bad': 'open',
    'signs-good': 'open',
    time: 'probing',
  },
  probing: {
    accepted: 'healthy',
    failed: 'open',
    refused: 'open',
    throttled: 'open',
    'success-bad': 'probing',
    'latency-bad': 'probing',
    'signs-good': 'probing',
    time: 'probing',
  },
};

const KINDS: HealthKind[] = ['healthy', 'degraded', 'open', 'probing'];
const EVENTS: HealthEventKind[] = [
  'accepted',
  'failed',
  'refused',
  'throttled',
  'success-bad',
  'latency-bad',
  'signs-good',
  'time',
];

function next(
  health: Health,
  event: HealthEventKind,
  nowMs = NOW_MS,
  retryAfterMs: number | null = null,
): Health {
  return nextHealth(health, event, { nowMs, failover, retryAfterMs });
}

t.test('every cell of the table', (t) => {
  for (const kind of KINDS) {
    for (const event of EVENTS) {
      t.equal(next(SAMPLES[kind], event).kind, EXPECTED[kind][event], `${kind} + ${event}`);
    }
  }
  t.end();
});

t.test('failures open only when they are consecutive', (t) => {
  let health: Health = healthyAt(0, 'start');
  for (const event of ['failed', 'accepted', 'failed', 'accepted', 'failed'] as const)
    health = next(health, event);
  t.equal(health.kind, 'healthy');
  t.match(next(health, 'failed'), { kind: 'open', reason: 'failures', untilMs: NOW_MS + 2000 });
  t.end();
});

t.test('a refused envelope is no failure, a refused probe is', (t) => {
  for (const cause of ['too-large', 'invalid', 'not-found', 'unauthorized'] as const) {
    const outcome = { kind: 'rejected', cause, detail: '' } as const;
    t.equal(healthEventOf({ ...outcome, scope: 'envelope' }, false), null, cause);
    t.equal(healthEventOf({ ...outcome, scope: 'envelope' }, true), 'failed', `${cause}, of a probe`);
    t.equal(healthEventOf({ ...outcome, scope: 'provider' }, false), 'refused', `${cause}, of all envelopes`);
  }
  t.end();
});

t.test('one refusal opens (SPEC 5)', (t) => {
  t.match(next(healthyAt(0, 'start'), 'refused'), { kind: 'open', reason: 'refused' });
  t.end();
});

t.test('a throttling provider is left alone as long as it asks, a minute at most (SPEC 6)', (t) => {
  const health = healthyAt(0, 'start');
  t.match(next(health, 'throttled', NOW_MS, 7000), { kind: 'open', untilMs: NOW_MS + 7000 });
  t.match(next(health, 'throttled', NOW_MS, null), { kind: 'open', untilMs: NOW_MS + 2000 });
  t.match(next(health, 'throttled', NOW_MS, 3_600_000), { kind: 'open', untilMs: NOW_MS + 60_000 });
  const open = next(health, 'throttled', NOW_MS, 7000);
  t.match(
    next(open, 'throttled', NOW_MS + 1000, 9000),
    { untilMs: NOW_MS + 10_000 },
    'a later, longer wish counts',
  );
  t.equal(next(open, 'throttled', NOW_MS + 1000, 1000), open, 'a shorter one does not');
  const asked = next(next(open, 'time', NOW_MS + 7000, null), 'throttled', NOW_MS + 7100, 30_000);
  t.match(asked, { kind: 'open', reason: 'throttled', untilMs: NOW_MS + 37_100 }, 'also a probe');
  t.equal(
    next(asked, 'accepted', NOW_MS + 7200, null),
    asked,
    'an earlier try ends no pause that it asked for',
  );
  t.equal(next(open, 'accepted', NOW_MS + 10), open, 'what it still accepts does not end the pause');
  t.end();
});

t.test(
  'the pause doubles with each failed probe, up to open_max, and late failures do not touch it (SPEC 6)',
  (t) => {
    let nowMs = 0;
    let health = next(healthyAt(0, 'start'), 'refused', nowMs);
    const pauses: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      const untilMs: number = health.kind === 'open' ? health.untilMs : Number.NaN;
      pauses.push(untilMs - nowMs);
      for (const late of ['failed', 'refused'] as const) t.equal(next(health, late, nowMs + 1), health);
      t.equal(next(health, 'time', untilMs - 1), health);
      nowMs = untilMs;
      health = next(next(health, 'time', nowMs), 'failed', nowMs);
    }
    t.same(pauses, [2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000, 20_000]);
    t.end();
  },
);

t.test('probes_to_close acceptances in a row close it (SPEC 7)', (t) => {
  const probing = next(next(healthyAt(0, 'start'), 'refused', 0), 'time', 2000);
  t.match(probing, { kind: 'probing', proofs: 0, nextProbeMs: 2000 });
  const once = next(probing, 'accepted', 2100);
  t.match(once, { kind: 'probing', proofs: 1, nextProbeMs: 2300 });
  t.match(next(once, 'accepted', 2350), { kind: 'healthy', sinceMs: 2350, reason: 'proven' });
  t.match(next(once, 'failed', 2350), { kind: 'open', reason: 'probe-failed', untilMs: 2350 + 4000 });
  t.end();
});

t.test('an acceptance while open is proof like a probe', (t) => {
  const open = next(healthyAt(0, 'start'), 'refused', 0);
  t.match(next(open, 'accepted', 500), { kind: 'probing', proofs: 1, reason: 'late-acceptance' });
  const one = { ...failover, probes_to_close: 1 };
  t.match(nextHealth(open, 'accepted', { nowMs: 500, failover: one, retryAfterMs: null }), {
    kind: 'healthy',
  });
  t.end();
});
