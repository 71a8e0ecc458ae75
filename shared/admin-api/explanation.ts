/** `GET /v1/explain` of an agent: why each provider was chosen or refused, now or at a moment of the past. */
import type { ScoreParts } from '../scoring/inputs.ts';
import type { ProviderHealth, RoutingSwitch } from './status.ts';

/** `?stream=`: now, part by part. */
export interface Explanation {
  kind: 'explain';
  streams: ExplainedStream[];
}

export interface ExplainedStream {
  stream: string;
  /** Why the present choice stands, in a sentence. */
  reason: string;
  weights: ScoreParts;
  candidates: ExplainedCandidate[];
  /** Its latest switches, newest last. */
  switches: RoutingSwitch[];
}

/** One provider as a candidate for one stream. */
export interface ExplainedCandidate {
  provider: string;
  /** Why it may not be used for this stream; empty when it is eligible. */
  refusals: string[];
  /** Why the last try there failed, whichever stream's it was: `dns: …`; null once one is accepted. */
  fault: string | null;
  chosen: boolean;
  /** Part of the envelopes that goes there first. */
  share: number;
  score: number;
  parts: ScoreParts;
  /** The inputs of the parts. */
  inputs: ExplainedInputs;
  /** The score it competes with: lower than its own while it is degraded. */
  standing: number;
  /** Position in preferred_providers from 1; null when it is not among them. */
  preference: number | null;
  health: ProviderHealth;
  healthReason: string;
  /** After an outage: tries so far, and how many it takes; null when it is not on trial. */
  trial: { tries: number; accepted: number; triesNeeded: number } | null;
  holds: string[];
  /** How long dwell and flap penalty still keep the stream from moving there by choice. */
  waitMs: number;
  /**
   * Milliseconds after which a live envelope that it has not answered goes to another one as well; null: it
   * does not.
   */
  hedgeDelayMs: number | null;
}

export interface ExplainedInputs {
  /** Marginal cost of one envelope now. */
  envelopeCostUsd: number;
  /** Of the sliding window; null without samples. */
  latencyP50Ms: number | null;
  latencyP95Ms: number | null;
  latencySamples: number;
  /** Taken as one sample more. */
  latencyPriorMs: number;
  goodput: number;
  accepted: number;
  tries: number;
  slaPercent: number;
  /** Of the required certifications. */
  certificationsHeld: number;
  certificationsRequired: number;
}

/** `?at=`: as the history has it. */
export interface PastExplanation {
  kind: 'explain-at';
  /** ISO 8601: what was asked for, and the last moment before it of which anything is recorded. */
  at: string;
  recordedUntil: string;
  clock: 'synchronised' | 'unsynchronised';
  /** Of the policy in force; null when its line is no longer there. */
  policyVersion: number | null;
  /** Of the score's parts; null like the version. */
  weights: ScoreParts | null;
  streams: PastStream[];
  providers: PastProvider[];
}

export interface PastStream {
  stream: string;
  chosen: string | null;
  /** ISO 8601; null when it began before the history does. */
  since: string | null;
  /**
   * Every provider as the stream saw it; empty when the policy's line is no longer there, or does not name
   * the stream.
   */
  candidates: PastCandidate[];
  /** The latest before that moment, newest last. */
  switches: RoutingSwitch[];
}

/** One provider as a candidate for one stream then. */
export interface PastCandidate {
  provider: string;
  /** Why it might not be used; empty when it was eligible. */
  refusals: string[];
  chosen: boolean;
  /** Position in preferred_providers from 1; null when it is not among them. */
  preference: number | null;
  /** Null when the inputs of scores were not recorded. */
  scored: PastScore | null;
}

export interface PastScore {
  score: number;
  standing: number;
  parts: ScoreParts;
  inputs: ExplainedInputs;
  /** ISO 8601: when the inputs were as shown; they are recorded once a minute and after each switch. */
  inputsAt: string;
}

export interface PastProvider {
  provider: string;
  health: ProviderHealth;
  healthReason: string;
  since: string | null;
  holds: string[];
  /** The tries around that moment, or the last before it; null when none is recorded. */
  tries: PastTries | null;
}

export interface PastTries {
  from: string;
  to: string;
  accepted: number;
  /** By outcome. */
  failed: Record<string, number>;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}
