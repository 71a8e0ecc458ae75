/**
 * The health of one provider: healthy → degraded → open → probing → healthy. The table is total: a new state
 * or event does not compile until every cell is filled. Each state carries only the fields it needs.
 *
 * Two rules keep an outage from counting twice. In the open state, a late failure changes nothing: the tries
 * under way when the breaker opened all fail, and each would double the pause. Only a failed probe doubles
 * the pause.
 */
import type { Policy } from '../../../shared/policy/policy.ts';
import type { HealthReason } from './reasons.ts';

export type HealthKind = 'healthy' | 'degraded' | 'open' | 'probing';

export type HealthEventKind =
  | 'accepted'
  /** The envelope was not accepted, or its outcome is unknown. */
  | 'failed'
  /** The envelope was not accepted, and no other would be. */
  | 'refused'
  | 'throttled'
  /** Signs of the sliding window, see signs.ts. */
  | 'success-bad'
  | 'latency-bad'
  | 'signs-good'
  /** A tick; the open state compares it with its pause. */
  | 'time';

interface Up {
  readonly sinceMs: number;
  readonly reason: HealthReason;
  /** Failures since the last acceptance. */
  readonly failures: number;
}

export interface Healthy extends Up {
  readonly kind: 'healthy';
}

export interface Degraded extends Up {
  readonly kind: 'degraded';
}

export interface Open {
  readonly kind: 'open';
  readonly sinceMs: number;
  readonly reason: HealthReason;
  readonly untilMs: number;
  /** The pause that the next failed probe doubles. */
  readonly pauseMs: number;
}

export interface Probing {
  readonly kind: 'probing';
  readonly sinceMs: number;
  readonly reason: HealthReason;
  readonly pauseMs: number;
  /** Acceptances since the breaker opened. */
  readonly proofs: number;
  readonly nextProbeMs: number;
}

export type Health = Healthy | Degraded | Open | Probing;

export interface HealthContext {
  readonly nowMs: number;
  readonly failover: Policy['failover'];
  /** The pause that the throttling provider asked for; null when it named none. */
  readonly retryAfterMs: number | null;
}

/** Spacing of the probes that close a breaker: in immediate succession, two could pass by luck. */
const PROBE_SPACING_MS = 200;
/** Longest pause that a throttling provider can ask for, or open_max where that is longer. */
export const ASKED_PAUSE_MS_MAX = 60_000;

type Cell<H extends Health> = (health: H, context: HealthContext) => Health;
type Row<H extends Health> = Readonly<Record<HealthEventKind, Cell<H>>>;

const stay = (health: Health): Health => health;

const healthyRow: Row<Healthy> = {
  accepted: cleared,
  failed: countFailure,
  refused: (_, context) => opened('refused', context),
  throttled: (_, context) => opened('throttled', context),
  'success-bad': (health, context) => degraded(health, 'success-rate', context),
  'latency-bad': (health, context) => degraded(health, 'latency', context),
  'signs-good': stay,
  time: stay,
};

const degradedRow: Row<Degraded> = {
  accepted: cleared,
  failed: countFailure,
  refused: (_, context) => opened('refused', context),
  throttled: (_, context) => opened('throttled', context),
  'success-bad': stay,
  'latency-bad': stay,
  'signs-good': (health, { nowMs }) => ({ ...health, kind: 'healthy', sinceMs: nowMs, reason: 'signs-good' }),
  time: stay,
};

const openRow: Row<Open> = {
  // A throttling provider is alive, and its pause is intended: an acceptance does not end the pause.
  accepted: (health, context) => (health.reason === 'throttled' ? health : proved(health, 1, context)),
  failed: stay,
  refused: stay,
  throttled: (health, { nowMs, failover, retryAfterMs }) => {
    const untilMs = nowMs + askedMs(retryAfterMs ?? 0, failover);
    return untilMs > health.untilMs ? { ...health, untilMs } : health;
  },
  'success-bad': stay,
  'latency-bad': stay,
  'signs-good': stay,
  time: (health, { nowMs }) =>
    nowMs < health.untilMs
      ? health
      : {
          kind: 'probing',
          sinceMs: nowMs,
          reason: 'pause-over',
          pauseMs: health.pauseMs,
          proofs: 0,
          nextProbeMs: nowMs,
        },
};

const probingRow: Row<Probing> = {
  accepted: (health, context) => proved(health, health.proofs + 1, context),
  failed: reopened,
  refused: reopened,
  // Its pause is intended again: see the open state.
  throttled: (health, context) => ({ ...reopened(health, context), reason: 'throttled' }),
  'success-bad': stay,
  'latency-bad': stay,
  'signs-good': stay,
  time: stay,
};

const TABLE: { readonly [K in HealthKind]: Row<Extract<Health, { kind: K }>> } = {
  healthy: healthyRow,
  degraded: degradedRow,
  open: openRow,
  probing: probingRow,
};

/** The next state; the same object when nothing changed. */
export function nextHealth(health: Health, event: HealthEventKind, context: HealthContext): Health {
  switch (health.kind) {
    case 'healthy':
      return TABLE.healthy[event](health, context);
    case 'degraded':
      return TABLE.degraded[event](health, context);
    case 'open':
      return TABLE.open[event](health, context);
    case 'probing':
      return TABLE.probing[event](health, context);
  }
}

export function healthyAt(nowMs: number, reason: HealthReason): Healthy {
  return { kind: 'healthy', sinceMs: nowMs, reason, failures: 0 };
}

/** Whether the provider may get envelopes. */
export function isUp(health: Health): health is Healthy | Degraded {
  return health.kind === 'healthy' || health.kind === 'degraded';
}

function cleared(health: Healthy | Degraded): Health {
  return health.failures === 0 ? health : { ...health, failures: 0 };
}

function countFailure(health: Healthy | Degraded, context: HealthContext): Health {
  const failures = health.failures + 1;
  return failures < context.failover.failures_to_open ? { ...health, failures } : opened('failures', context);
}

function degraded(health: Healthy, reason: HealthReason, { nowMs }: HealthContext): Degraded {
  return { ...health, kind: 'degraded', sinceMs: nowMs, reason };
}

function opened(reason: HealthReason, { nowMs, failover, retryAfterMs }: HealthContext): Open {
  const pauseMs = Math.min(failover.open_for, failover.open_max);
  const untilMs = nowMs + (retryAfterMs === null ? pauseMs : askedMs(retryAfterMs, failover));
  return { kind: 'open', sinceMs: nowMs, reason, untilMs, pauseMs };
}

function reopened(health: Probing, { nowMs, failover, retryAfterMs }: HealthContext): Open {
  const pauseMs = Math.min(health.pauseMs * 2, failover.open_max);
  const untilMs = nowMs + Math.max(pauseMs, askedMs(retryAfterMs ?? 0, failover));
  return { kind: 'open', sinceMs: nowMs, reason: 'probe-failed', untilMs, pauseMs };
}

function askedMs(retryAfterMs: number, { open_max: openMaxMs }: Policy['failover']): number {
  return Math.min(retryAfterMs, Math.max(openMaxMs, ASKED_PAUSE_MS_MAX));
}

function proved(health: Open | Probing, proofs: number, { nowMs, failover }: HealthContext): Health {
  if (proofs >= failover.probes_to_close) return healthyAt(nowMs, 'proven');
  const nextProbeMs = nowMs + PROBE_SPACING_MS;
  if (health.kind === 'probing') return { ...health, proofs, nextProbeMs };
  const { pauseMs } = health;
  return { kind: 'probing', sinceMs: nowMs, reason: 'late-acceptance', pauseMs, proofs, nextProbeMs };
}
