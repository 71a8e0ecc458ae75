/**
 * What the routing core remembers. Immutable: a transition makes a new state and shares what did not change
 * (I11).
 */
import type { Policy, ProviderFacts, StreamPolicy } from '../../../shared/policy/policy.ts';
import { tariffOf } from '../../../shared/pricing/metering.ts';
import { type Health, healthyAt } from './health.ts';
import type { HoldReason } from './reasons.ts';
import { NO_RECEIPT_LAG, type ReceiptLag } from './receipt-lag.ts';
import { NO_SILENT_LIMIT, type SilentLimit } from './silent-limit.ts';
import { EMPTY_WINDOW, type SampleWindow } from './window.ts';

/** Slow-moving p95, to know an unusual latency by. */
export interface Baseline {
  readonly p95Ms: number;
  readonly atMs: number;
}

/** What the probes of a provider have cost and time has not paid off; see probe-budget.ts. */
export interface ProbeAccount {
  readonly owedUsd: number;
  readonly atMs: number;
}

/** Part of a stream's envelopes that a provider gets first; the parts of a stream sum to 1. */
export interface Share {
  readonly provider: string;
  readonly part: number;
}

export interface ProviderState {
  readonly facts: ProviderFacts;
  readonly health: Health;
  readonly window: SampleWindow;
  /** Moving mean of live-sized acknowledgement latencies: what to expect when the window is empty. */
  readonly typicalLatencyMs: number;
  readonly baseline: Baseline | null;
  readonly holds: readonly HoldReason[];
  readonly receiptLag: ReceiptLag;
  readonly silentLimit: SilentLimit;
  /** Units billed this month, as last told. */
  readonly unitsThisMonth: number;
  /** Last outcome, or last probe asked for; null before the first and after a release. */
  readonly lastTryMs: number | null;
  /** The probe under way. */
  readonly probeSentMs: number | null;
  /** What its probes have cost. */
  readonly probes: ProbeAccount;
  /** Failures of tries that began before this belong to an outage that is over. */
  readonly staleBeforeMs: number;
  /**
   * It accepted something since start, or since its holds were released. A breaker closes by acceptances
   * anyway.
   */
  readonly proven: boolean;
  /**
   * Failures opened its breaker, and too few tries were accepted since it closed: see passesTrial in
   * signs.ts.
   */
  readonly onTrial: boolean;
  /** When its breaker opened, lately; newest last. */
  readonly opensMs: readonly number[];
}

export interface StreamState {
  readonly name: string;
  readonly policy: StreamPolicy;
  readonly chosen: string | null;
  readonly sinceMs: number;
  /** Whether it ever had a provider: tells the first choice from a recovery. */
  readonly started: boolean;
  /**
   * The eligible, best first. Made anew whenever eligibility changes, so that every reading obeys the gates
   * (I4).
   */
  readonly ranked: readonly string[];
  /** The provider that it leaves by and by, since `sinceMs`; null when it has only the chosen one. */
  readonly leaving: string | null;
  /** Who gets the envelopes first, see shares.ts; made anew with `ranked`, and of it. */
  readonly shares: readonly Share[];
}

export interface RoutingState {
  /** Monotonic time of the last event. */
  readonly nowMs: number;
  readonly policy: Policy;
  /** Arrays, not records: a provider may be named `constructor`. */
  readonly providers: readonly ProviderState[];
  readonly streams: readonly StreamState[];
  /** Hedges that may be sent now: a share of one is saved up with each publish, see hedge.ts. */
  readonly hedgesSaved: number;
  /** The month's money runs short: nothing is sent twice for speed. */
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
