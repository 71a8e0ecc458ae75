/**
 * Signs of a provider that works badly. Leaving the degraded state requires better figures than entering it,
 * to prevent oscillation.
 */
import type { HealthEventKind } from './health.ts';
import type { Baseline } from './state.ts';
import { AGE_MAX_MS, type SampleWindow, successRate } from './window.ts';

/** Fewer tries than this never degrade a provider. */
const JUDGED_SAMPLES = 10;
/** Fewer tries suffice to restore a provider, because a degraded one is mostly only probed. */
const ACQUITTING_SAMPLES = 3;
const SUCCESS_BAD = 0.8;
const SUCCESS_GOOD = 0.9;
/** At a loss of 30 %, 997 of 1000 trials of this length fail; at 2 %, one in a thousand does. */
export const TRIAL_SAMPLES = 40;
const LATENCY_BAD_RATIO = 4;
const LATENCY_GOOD_RATIO = 2;
/** A latency below this is never bad: four times 20 ms is harmless. */
const LATENCY_HARMLESS_MS = 300;

/**
 * The baseline follows a better latency within minutes, and a worse one within half an hour, when it has
 * become usual.
 */
const BASELINE_FALL_MS = 60_000;
const BASELINE_RISE_MS = 1_800_000;
const BASELINE_PERIOD_MS = 1000;
/**
 * A longer tail is unusual: a slow first connect, or the beginning of a ramp, must not raise the baseline.
 */
const BASELINE_TAIL_RATIO = 4;
/** After a pause without samples, the baseline must not jump to the first ones. */
const BASELINE_STEP_MAX_MS = 5000;

/** The window's sign for a provider that is up; null: too few samples, or between good and bad. */
export function signsOf(window: SampleWindow, baseline: Baseline | null): HealthEventKind | null {
  const rate = successRate(window);
  if (rate === null) return null;
  const p95Ms = window.latencyP95Ms ?? 0;
  const usualMs = baseline?.p95Ms ?? Number.POSITIVE_INFINITY;
  if (window.tries >= JUDGED_SAMPLES && rate < SUCCESS_BAD) return 'success-bad';
  const bad = p95Ms > Math.max(LATENCY_HARMLESS_MS, usualMs * LATENCY_BAD_RATIO);
  if (window.latencySamples >= JUDGED_SAMPLES && bad) return 'latency-bad';
  const quick = p95Ms <= Math.max(LATENCY_HARMLESS_MS, usualMs * LATENCY_GOOD_RATIO);
  return window.tries >= ACQUITTING_SAMPLES && rate >= SUCCESS_GOOD && quick ? 'signs-good' : null;
}

/**
 * Whether enough tries since the outage show that it is over. Two accepted probes close a breaker, but on a
 * path that loses a third of all packets they pass every other time: traffic that returned on that evidence
 * would leave again within a minute. `upMs`: time in the present health state. A path so slow that a minute
 * holds fewer than forty probes is judged by fewer.
 */
export function passesTrial(window: SampleWindow, upMs: number): boolean {
  const needed = upMs < AGE_MAX_MS ? TRIAL_SAMPLES : JUDGED_SAMPLES;
  return window.tries >= needed && (successRate(window) ?? 0) >= SUCCESS_GOOD;
}

/**
 * Moves the baseline towards the window's p95, as far as that is usual; returns the same object when it is
 * too early or samples are too few.
 */
export function nextBaseline(
  baseline: Baseline | null,
  window: SampleWindow,
  nowMs: number,
): Baseline | null {
  const { latencyP50Ms, latencyP95Ms, latencySamples } = window;
  if (latencyP50Ms === null || latencyP95Ms === null || latencySamples < JUDGED_SAMPLES) return baseline;
  const p95Ms = Math.min(latencyP95Ms, latencyP50Ms * BASELINE_TAIL_RATIO);
  if (!baseline) return { p95Ms, atMs: nowMs };
  const elapsedMs = nowMs - baseline.atMs;
  if (elapsedMs < BASELINE_PERIOD_MS) return baseline;
  const constantMs = p95Ms < baseline.p95Ms ? BASELINE_FALL_MS : BASELINE_RISE_MS;
  const share = 1 - Math.exp(-Math.min(elapsedMs, BASELINE_STEP_MAX_MS) / constantMs);
  return { p95Ms: baseline.p95Ms + (p95Ms - baseline.p95Ms) * share, atMs: nowMs };
}
