/** Sliding window over the tries at one provider: the last 128, none older than a minute. Immutable. */
import type { Measurements } from '../../../shared/scoring/inputs.ts';

/** Enough for a p99 that is not the maximum; small enough to sort at every publish. */
const SAMPLES_MAX = 128;
/** Older samples say little about the present. */
export const AGE_MAX_MS = 60_000;

export interface Sample {
  readonly atMs: number;
  readonly latencyMs: number;
  readonly bytes: number;
  /** `throttled` is neither success nor failure, but its bytes count as offered. */
  readonly verdict: 'accepted' | 'failed' | 'throttled';
  /**
   * Whether the try had the size of a live envelope or a probe. Larger ones measure the uplink's bandwidth,
   * which is the same for every provider.
   */
  readonly live: boolean;
}

export interface SampleWindow extends Measurements {
  readonly samples: readonly Sample[];
  /** Over accepted tries of any size, for deadlines. Null without samples. */
  readonly latencyP99Ms: number | null;
}

export const EMPTY_WINDOW: SampleWindow = windowOf([]);

export function withSample(window: SampleWindow, sample: Sample): SampleWindow {
  return windowOf([...newest(window.samples, sample.atMs, SAMPLES_MAX - 1), sample]);
}

/** The window without samples that are too old at `nowMs`; the same object when there are none. */
export function pruned(window: SampleWindow, nowMs: number): SampleWindow {
  const oldest = window.samples[0];
  if (!oldest || nowMs - oldest.atMs <= AGE_MAX_MS) return window;
  return windowOf(newest(window.samples, nowMs, SAMPLES_MAX));
}

/** Accepted share of the tries; null without tries. */
export function successRate(window: SampleWindow): number | null {
  return window.tries === 0 ? null : window.accepted / window.tries;
}

/** The last `max` samples from the oldest on that is not too old. */
function newest(samples: readonly Sample[], nowMs: number, max: number): Sample[] {
  const kept: Sample[] = [];
  let left = samples.length;
  for (const sample of samples) {
    if (left <= max && (kept.length > 0 || nowMs - sample.atMs <= AGE_MAX_MS)) kept.push(sample);
    left -= 1;
  }
  return kept;
}

function windowOf(samples: readonly Sample[]): SampleWindow {
  let accepted = 0;
  let failed = 0;
  let acceptedBytes = 0;
  let offeredBytes = 0;
  let lives = 0;
  const latencies = new Float64Array(samples.length);
  const liveLatencies = new Float64Array(samples.length);
  for (const sample of samples) {
    offeredBytes += sample.bytes;
    if (sample.verdict === 'failed') failed += 1;
    if (sample.verdict !== 'accepted') continue;
    latencies[accepted++] = sample.latencyMs;
    acceptedBytes += sample.bytes;
    if (sample.live) liveLatencies[lives++] = sample.latencyMs;
  }
  const all = latencies.subarray(0, accepted).sort();
  const small = lives === accepted ? all : liveLatencies.subarray(0, lives).sort();
  return {
    samples,
    accepted,
    tries: accepted + failed,
    latencySamples: small.length,
    latencyP50Ms: quantile(small, 0.5),
    latencyP95Ms: quantile(small, 0.95),
    latencyP99Ms: quantile(all, 0.99),
    goodput: offeredBytes === 0 ? 1 : acceptedBytes / offeredBytes,
  };
}

/** Nearest rank. */
function quantile(sorted: Float64Array, q: number): number | null {
  return sorted[Math.ceil(q * sorted.length) - 1] ?? null;
}
