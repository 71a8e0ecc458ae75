/**
 * Reasons why a provider is not used, and why a stream moved. Each text is both log field and metric label.
 */

/**
 * A named reason not to use a provider. A provider may have several; each ends on its own. The core sets
 * those of OWN_HOLDS; other rooms set the rest.
 */
export type HoldReason =
  /** An operator set the hold. */
  | 'manual'
  /** The provider's quota (IoT Hub messages per day) is used up. */
  | 'quota'
  /** The monthly budget of the policy is used up. */
  | 'budget'
  /** The provider acknowledges records that do not reach the router (grey failure); see receipt-lag.ts. */
  | 'receipt-lag'
  /** The provider slows down and cuts connections, as an overloaded hub does; see silent-limit.ts. */
  | 'throttled'
  /**
   * The provider cuts every connection without an answer: its daily quota is used up, by this gateway or
   * others.
   */
  | 'quota-exhausted';

/** Holds that the core sets and ends itself. */
export const OWN_HOLDS = ['receipt-lag', 'throttled', 'quota-exhausted'] as const satisfies HoldReason[];

/** Why a provider may not take an envelope of a stream now. */
export type Refusal =
  /** Not enabled in the gateway's configuration. */
  | 'disabled'
  /** Outside the zone of the stream's residency (I4). */
  | 'residency'
  /** Lacks a certification that the policy requires (I4). */
  | 'certification'
  /** Its breaker is open. */
  | 'open'
  /** Its breaker was open, and probes have not closed it yet. */
  | 'probing'
  /** At least one hold other than `receipt-lag`. */
  | 'hold'
  /** On hold for late receipts, and enough other providers for the stream's copies may take it. */
  | 'receipt-lag';

/** Why a stream changed its provider. */
export type SwitchReason =
  /** The first choice after the start. */
  | 'start'
  /** The provider used before the restart. */
  | 'restored'
  /** The first eligible provider after a time without one. */
  | 'recovered'
  /** The breaker of the provider in use opened. */
  | 'breaker'
  /** The provider in use was put on hold. */
  | 'hold'
  /** Records acknowledged by the provider in use do not reach the router. */
  | 'receipt-lag'
  /**
   * A new policy excludes the provider in use by zone or certification (I4), or the configuration disabled
   * it.
   */
  | 'residency'
  | 'certification'
  | 'disabled'
  /** A new policy has other preferences or weights. */
  | 'policy'
  /** A provider earlier in preferred_providers is back, proven, past dwell and penalty. */
  | 'preferred'
  /** Another provider leads by the margin while the one in use is degraded. */
  | 'degraded'
  /** Another provider leads by the margin. */
  | 'score';

/** Why a provider's health changed. */
export type HealthReason =
  | 'start'
  /** The state before the restart. */
  | 'restored'
  /** A refused connection, a TLS failure or rejected credentials: no envelope would pass. */
  | 'refused'
  /** The policy's number of failures in a row. */
  | 'failures'
  | 'throttled'
  /** Too few of the recent tries were accepted. */
  | 'success-rate'
  /** Acknowledgements take several times the usual latency. */
  | 'latency'
  /** The signs of degradation are gone. */
  | 'signs-good'
  | 'pause-over'
  /** A try from before the pause was accepted during it. */
  | 'late-acceptance'
  | 'probe-failed'
  /** The policy's number of acceptances in a row. */
  | 'proven';
