/**
 * The recorded behaviour of a provider: the outcome that a try at a given moment would have had, accepted
 * with a latency, or failed. The same moment gives the same outcome under every policy (I11), so that two
 * policies are compared under the same conditions.
 *
 * At a moment without tries, the provider behaves as at the last try before: down when that one failed.
 */
import { seededEntropy } from '../../shared/entropy.ts';
import type { Outcome, RejectedCause, RetryableCause } from '../providers/publisher.ts';
import type { RecordedTries } from './recording.ts';

export interface Met {
  outcome: Outcome;
  latencyMs: number;
}

/** A line gives only its first and last failure; each is taken to cover this time around it. */
const EDGE_MS = 250;
/** Two tries of one provider within the same grain get the same outcome. */
const GRAIN_MS = 20;
/** For a provider without any recorded try. */
const UNKNOWN: Met = { outcome: { kind: 'accepted' }, latencyMs: 50 };

export class Weather {
  readonly #tries: readonly RecordedTries[];
  readonly #seed: number;
  /** Position of the last query: queries come in order of time. */
  #at = 0;

  /** `tries` ascending. */
  constructor(provider: string, tries: readonly RecordedTries[]) {
    this.#tries = tries;
    this.#seed = hash(provider);
  }

  /** `at`: wall-clock milliseconds, nearly ascending; `deadlineMs` ends the try. */
  meets(at: number, deadlineMs: number): Met {
    const draw = seededEntropy(this.#seed ^ Math.floor(at / GRAIN_MS));
    const window = this.#windowAt(at);
    const met = window ? metIn(window, at, draw.float(), draw.float()) : UNKNOWN;
    if (met.latencyMs <= deadlineMs) return met;
    return { outcome: { kind: 'unknown', cause: 'deadline', detail: '' }, latencyMs: deadlineMs };
  }

  /** The last window that began at `at` or before; else the first of all. */
  #windowAt(at: number): RecordedTries | undefined {
    while (this.#at > 0 && (this.#tries[this.#at]?.from ?? 0) > at) this.#at -= 1;
    for (let next = this.#tries[this.#at + 1]; next && next.from <= at; next = this.#tries[this.#at + 1]) {
      this.#at += 1;
    }
    return this.#tries[this.#at];
  }
}

/** `chance` and `spread` are uniform in [0, 1). */
function metIn(window: RecordedTries, at: number, chance: number, spread: number): Met {
  const failing = failureShare(window, at);
  if (chance < failing) {
    return { outcome: failureOf(window, spread), latencyMs: window.fl ?? 0 };
  }
  return { outcome: { kind: 'accepted' }, latencyMs: latencyAt(window, spread) };
}

function failureShare({ from, to, a, f, ff }: RecordedTries, at: number): number {
  if (!f || !ff) return 0;
  const failed = Object.values(f).reduce((sum, count) => sum + count, 0);
  const [first, last] = [from + ff[0] - EDGE_MS, from + ff[1] + EDGE_MS];
  // After the line: as its last try, which was a failure when the last failure is at the line's end.
  if (at > to) return ff[1] >= to - from - 1 ? 1 : 0;
  if (at < first || at > last) return 0;
  const inside = ((a + failed) * (last - first)) / Math.max(to - from, last - first);
  return failed / Math.max(failed, inside);
}

/** Interpolates between the recorded quantiles. */
function latencyAt({ l }: RecordedTries, u: number): number {
  if (!l) return UNKNOWN.latencyMs;
  const [p50, p95, p99] = l;
  if (u < 0.5) return p50 * (0.5 + u);
  if (u < 0.95) return p50 + ((p95 - p50) * (u - 0.5)) / 0.45;
  return p95 + ((p99 - p95) * (u - 0.95)) / 0.05;
}

function failureOf({ f = {}, ra }: RecordedTries, u: number): Outcome {
  const kinds = Object.entries(f);
  let left = u * kinds.reduce((sum, [, count]) => sum + count, 0);
  for (const [key, count] of kinds) {
    left -= count;
    if (left < 0) return outcomeOf(key, ra ?? null);
  }
  return outcomeOf('unknown/deadline', null);
}

/** Parses the key that history/tries.ts wrote. */
function outcomeOf(key: string, retryAfterMs: number | null): Outcome {
  const [kind, second, third] = key.split('/');
  const detail = 'recorded';
  if (kind === 'throttled') return { kind, retryAfterMs, detail };
  if (kind === 'retryable') return { kind, cause: second as RetryableCause, detail };
  if (kind === 'rejected' && (second === 'provider' || second === 'envelope'))
    return { kind, scope: second, cause: third as RejectedCause, detail };
  return { kind: 'unknown', cause: second === 'connection-lost' ? second : 'deadline', detail };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return value >>> 0;
}
