/**
 * Tries at a provider, gathered into lines: one line for a minute without failures, or for ten seconds with a
 * failure, so that the edges of an outage are known. Pure (I11).
 */
import type { Outcome } from '../providers/publisher.ts';
import type { LineOf } from './lines.ts';

/** Longest duration of a line: while all tries are accepted, and otherwise. */
const QUIET_MS = 60_000;
const TROUBLED_MS = 10_000;
/** Most latencies kept for one line; beyond it every second one is dropped, repeatedly (I10). */
const LATENCIES_MAX = 256;

interface Window {
  fromMs: number;
  toMs: number;
  accepted: number;
  latencies: Thinned;
  failures: Map<string, number>;
  failureLatencies: Thinned;
  firstFailureMs: number;
  lastFailureMs: number;
  retryAfterMs: number;
}

export class Tries {
  readonly #windows = new Map<string, Window>();
  #closed: LineOf<'tries'>[] = [];

  tried(provider: string, outcome: Outcome, latencyMs: number, nowMs: number): void {
    // A try that the gateway took back says nothing about the provider.
    if (outcome.kind === 'cancelled') return;
    const window = this.#windowOf(provider, outcome.kind === 'accepted', nowMs);
    window.toMs = nowMs;
    if (outcome.kind === 'accepted') {
      window.accepted += 1;
      window.latencies.add(latencyMs);
      return;
    }
    if (window.failures.size === 0) window.firstFailureMs = nowMs;
    window.lastFailureMs = nowMs;
    const key = outcomeKey(outcome);
    window.failures.set(key, (window.failures.get(key) ?? 0) + 1);
    window.failureLatencies.add(latencyMs);
    if (outcome.kind === 'throttled')
      window.retryAfterMs = Math.max(window.retryAfterMs, outcome.retryAfterMs ?? 0);
  }

  lines(): LineOf<'tries'>[] {
    return [...this.#closed, ...[...this.#windows].map(([provider, window]) => lineOf(provider, window))];
  }

  take(): LineOf<'tries'>[] {
    const lines = this.lines();
    this.#closed = [];
    this.#windows.clear();
    return lines;
  }

  #windowOf(provider: string, isAccepted: boolean, nowMs: number): Window {
    const known = this.#windows.get(provider);
    if (known) {
      const isQuiet = isAccepted && known.failures.size === 0;
      if (nowMs - known.fromMs < (isQuiet ? QUIET_MS : TROUBLED_MS)) return known;
      this.#closed.push(lineOf(provider, known));
    }
    const window: Window = {
      fromMs: nowMs,
      toMs: nowMs,
      accepted: 0,
      latencies: new Thinned(),
      failures: new Map(),
      failureLatencies: new Thinned(),
      firstFailureMs: nowMs,
      lastFailureMs: nowMs,
      retryAfterMs: 0,
    };
    this.#windows.set(provider, window);
    return window;
  }
}

function lineOf(provider: string, window: Window): LineOf<'tries'> {
  const m = Math.floor(window.fromMs);
  const after = (ms: number): number => Math.round(ms - m);
  const { latencies, failures, failureLatencies, retryAfterMs } = window;
  return {
    k: 'tries',
    m,
    d: Math.ceil(window.toMs) - m,
    p: provider,
    a: window.accepted,
    ...(window.accepted > 0 && {
      l: [latencies.quantile(0.5), latencies.quantile(0.95), latencies.quantile(0.99)],
    }),
    ...(failures.size > 0 && {
      f: Object.fromEntries(failures),
      fl: failureLatencies.quantile(0.5),
      ff: [after(window.firstFailureMs), after(window.lastFailureMs)],
    }),
    ...(retryAfterMs > 0 && { ra: retryAfterMs }),
  };
}

/**
 * Such as `throttled`, `retryable/tls`, `unknown/deadline`, `rejected/provider/unauthorized`: the form that
 * the simulation reads.
 */
function outcomeKey(outcome: Exclude<Outcome, { kind: 'accepted' | 'cancelled' }>): string {
  switch (outcome.kind) {
    case 'throttled':
      return 'throttled';
    case 'retryable':
    case 'unknown':
      return `${outcome.kind}/${outcome.cause}`;
    case 'rejected':
      return `${outcome.kind}/${outcome.scope}/${outcome.cause}`;
  }
}

/** A list of numbers that keeps every n-th, n a power of two. */
class Thinned {
  #kept: number[] = [];
  #every = 1;
  #skipped = 0;

  add(value: number): void {
    this.#skipped += 1;
    if (this.#skipped < this.#every) return;
    this.#skipped = 0;
    this.#kept.push(value);
    if (this.#kept.length < LATENCIES_MAX) return;
    this.#kept = this.#kept.filter((_, i) => i % 2 === 0);
    this.#every *= 2;
  }

  /** Nearest rank, in tenths; 0 when the list is empty. */
  quantile(q: number): number {
    const sorted = this.#kept.toSorted((a, b) => a - b);
    const value = sorted[Math.ceil(q * sorted.length) - 1] ?? sorted[0] ?? 0;
    return Math.round(value * 10) / 10;
  }
}
