/** `GET /v1/explain` of an agent: why each provider was chosen or refused, now or at a time in the past. */
import type { ScoreParts } from '../scoring/inputs.ts';
import type { ProviderHealth, RoutingSwitch } from './status.ts';

/** The answer to `?stream=`: the present state, part by part. */
export interface Explanation {
  kind: 'explain';
  streams: ExplainedStream[];
}

export interface ExplainedStream {
  stream: string;
  /** Why the present choice stands, as a sentence. */
  reason: string;
  weights: ScoreParts;
  candidates: ExplainedCandidate[];
  /** The stream's latest switches, newest last. */
  switches: RoutingSwitch[];
}

/** One provider as a candidate for one stream. */
export interface ExplainedCandidate {
  provider: string;
  /** Why it may not be used for this stream; empty when it is eligible. */
  refusals: string[];
  /** Why the last try failed, of any stream: `dns: …`; null after an accepted one. */
  fault: string | null;
  chosen: boolean;
  /** Share of the envelopes that goes to this provider first. */
  share: number;
  score: number;
  parts: ScoreParts;
  /** The inputs of the parts. */
  inputs: ExplainedInputs;
  /** The score used in the comparison: lower than `score` while the provider is degraded. */
  standing: number;
  /** Position in preferred_providers from 1; null outside the list. */
  preference: number | null;
  health: ProviderHealth;
  healthReason: string;
  /** After an outage: the tries so far, and the number needed; null when the provider is not on trial. */
  trial: { tries: number; accepted: number; triesNeeded: number } | null;
  holds: string[];
  /** How long dwell and flap penalty still block a switch of the stream to this provider. */
  waitMs: number;
  /**
   * Milliseconds without an answer after which a live envelope goes to another provider as well; null: no
   * hedging.
   */
  hedgeDelayMs: number | null;
}

export interface ExplainedInputs {
  /** Marginal cost of one envelope at present. */
  envelopeCostUsd: number;
  /** In the sliding window; null without samples. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  latencySamples: number;
  /** Counts as one additional sample. */
  latencyPriorMs: number;
  goodput: number;
  accepted: number;
  tries: number;
  slaPercent: number;
  /** Of the required certifications: the number held, and the number required. */
  certificationsHeld: number;
  certificationsRequired: number;
}

/** The answer to `?at=`: the state from the history. */
export interface PastExplanation {
  kind: 'explain-at';
  /** ISO 8601: the requested time, and the last recorded time before it. */
  at: string;
  recordedUntil: string;
  clock: 'synchronised' | 'unsynchronised';
  /** Version of the policy in force; null when the history no longer has its line. */
  policyVersion: number | null;
  /** Weights of the score's parts; null like the version. */
  weights: ScoreParts | null;
  streams: PastStream[];
  providers: PastProvider[];
}

export interface PastStream {
  stream: string;
  chosen: string | null;
  /** ISO 8601; null when it began before the history. */
  since: string | null;
  /**
   * Every provider as a candidate for the stream; empty when the history lacks the policy's line, or when the
   * policy lacks the stream.
   */
  candidates: PastCandidate[];
  /** The latest switches before that time, newest last. */
  switches: RoutingSwitch[];
}

/** One provider as a past candidate for one stream. */
export interface PastCandidate {
  provider: string;
  /** Why the provider was not eligible; empty when it was. */
  refusals: string[];
  chosen: boolean;
  /** Position in preferred_providers from 1; null outside the list. */
  preference: number | null;
  /** Null when the score's inputs were not recorded. */
  scored: PastScore | null;
}

export interface PastScore {
  score: number;
  standing: number;
  parts: ScoreParts;
  inputs: ExplainedInputs;
  /** ISO 8601: the time of these inputs; they are recorded once a minute and after each switch. */
  inputsAt: string;
}

export interface PastProvider {
  provider: string;
  health: ProviderHealth;
  healthReason: string;
  since: string | null;
  holds: string[];
  /** The tries around that time, or the last before it; null when none is recorded. */
  tries: PastTries | null;
}

export interface PastTries {
  from: string;
  to: string;
  accepted: number;
  /** Failed tries by outcome. */
  failed: Record<string, number>;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}
