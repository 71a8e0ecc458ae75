/**
 * The routing core's state. Immutable: a transition makes a new state that shares the unchanged parts (I11).
 */
import type { Policy, ProviderFacts, StreamPolicy } from '../../../shared/policy/policy.ts';
import { tariffOf } from '../../../shared/pricing/metering.ts';
import { type Health, healthyAt } from './health.ts';
import type { HoldReason } from './reasons.ts';
import { NO_RECEIPT_LAG, type ReceiptLag } from './receipt-lag.ts';
import { NO_SILENT_LIMIT, type SilentLimit } from './silent-limit.ts';
import { EMPTY_WINDOW, type SampleWindow } from './window.ts';

/** A slow-moving p95, to recognise an unusual latency. */
export interface Baseline {
  readonly p95Ms: number;
  readonly atMs: number;
}

/** The cost of a provider's probes that is not paid off yet; see probe-budget.ts. */
export interface ProbeAccount {
  readonly owedUsd: number;
  readonly atMs: number;
}

/** Share of a stream's envelopes that go to a provider first; the shares of a stream sum to 1. */
export interface Share {
  readonly provider: string;
  readonly part: number;
}

export interface ProviderState {
  readonly facts: ProviderFacts;
  readonly health: Health;
  readonly window: SampleWindow;
  /** Moving mean of the latencies of live-sized envelopes: the expectation while the window is empty. */
  readonly typicalLatencyMs: number;
  readonly baseline: Baseline | null;
  readonly holds: readonly HoldReason[];
  readonly receiptLag: ReceiptLag;
  readonly silentLimit: SilentLimit;
  /** Units billed this month, as last reported. */
  readonly unitsThisMonth: number;
  /** Time of the last outcome or the last requested probe; null before the first and after a release. */
  readonly lastTryMs: number | null;
  /** Start of the probe under way. */
  readonly probeSentMs: number | null;
  /** Cost of its probes. */
  readonly probes: ProbeAccount;
  /** Failures of tries that began before this time belong to a past outage. */
  readonly staleBeforeMs: number;
  /**
   * Whether it accepted an envelope since the start, or since its holds were released. Acceptances close a
   * breaker anyway.
   */
  readonly proven: boolean;
  /**
   * Whether failures opened its breaker and too few tries were accepted since it closed: see passesTrial in
   * signs.ts.
   */
  readonly onTrial: boolean;
  /** Times of recent openings of its breaker, newest last. */
  readonly opensMs: readonly number[];
}

export interface StreamState {
  readonly name: string;
  readonly policy: StreamPolicy;
  readonly chosen: string | null;
  readonly sinceMs: number;
  /** Whether the stream ever had a provider: tells the first choice from a recovery. */
  readonly started: boolean;
  /**
   * The eligible providers, best first. Updated whenever eligibility changes, so that every reader obeys the
   * gates (I4).
   */
  readonly ranked: readonly string[];
  /** The provider being ramped down since `sinceMs`; null when there is only the chosen one. */
  readonly leaving: string | null;
  /** The shares, see shares.ts; updated with `ranked`, and a subset of it. */
  readonly shares: readonly Share[];
}

export interface RoutingState {
  /** Monotonic time of the last event. */
  readonly nowMs: number;
  readonly policy: Policy;
  /** Arrays, not records: a provider may be named `constructor`. */
  readonly providers: readonly ProviderState[];
  readonly streams: readonly StreamState[];
  /** Hedges that may be sent now: each publish saves up a share of one, see hedge.ts. */
  readonly hedgesSaved: number;
  /** Whether the month's budget runs short: then nothing is sent twice for speed. */
  readonly isThrifty: boolean;
}

export function newProvider(facts: ProviderFacts, nowMs: number): ProviderState {
  return {
    facts,
    health: healthyAt(nowMs, 'start'),
    window: EMPTY_WINDOW,
    typicalLatencyMs: tariffOf(facts).sheet.reference.latency_ms.value,
    baseline: null,
    holds: [],
    receiptLag: NO_RECEIPT_LAG,
    silentLimit: NO_SILENT_LIMIT,
    unitsThisMonth: 0,
    lastTryMs: null,
    probeSentMs: null,
    probes: { owedUsd: 0, atMs: nowMs },
    staleBeforeMs: 0,
    proven: false,
    onTrial: false,
    opensMs: [],
  };
}

export function newStream(name: string, policy: StreamPolicy, nowMs: number): StreamState {
  return {
    name,
    policy,
    chosen: null,
    sinceMs: nowMs,
    started: false,
    leaving: null,
    ranked: [],
    shares: [],
  };
}

export function providerNamed(state: RoutingState, name: string): ProviderState | undefined {
  return state.providers.find(({ facts }) => facts.name === name);
}

export function streamNamed(state: RoutingState, name: string): StreamState | undefined {
  return state.streams.find((stream) => stream.name === name);
}
