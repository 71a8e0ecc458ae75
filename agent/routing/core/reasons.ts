/** Why a provider is not used, and why a stream moved. Each text is the log field and the metric label. */

/**
 * A named reason not to use a provider. It may have several; each ends on its own. Those of OWN_HOLDS are the
 * core's, the others are set from outside.
 */
export type HoldReason =
  /** An operator said so. */
  | 'manual'
  /** The provider's own quota (IoT Hub messages per day) is used up. */
  | 'quota'
  /** The monthly budget of the policy is used up. */
  | 'budget'
  /** It acknowledges, but the records do not reach the router (grey failure); see receipt-lag.ts. */
  | 'receipt-lag'
  /** It slows down and cuts connections, as a hub does that is asked for too much; see silent-limit.ts. */
  | 'throttled'
  /**
   * It cuts every connection without an answer: the quota of its day is used up, by this gateway or others.
   */
  | 'quota-exhausted';

/** Holds that the core begins and ends itself. */
export const OWN_HOLDS = ['receipt-lag', 'throttled', 'quota-exhausted'] as const satisfies HoldReason[];

/** Why a provider may not take an envelope of a stream now. */
export type Refusal =
  /** Not enabled in the gateway's configuration. */
  | 'disabled'
  /** Outside the zone that the stream's records never leave (I4). */
  | 'residency'
  /** Lacks a certification that the policy requires (I4). */
  | 'certification'
  /** Its breaker is open. */
  | 'open'
  /** Its breaker was open, and probes have not yet closed it. */
  | 'probing'
  /** At least one hold other than the next. */
  | 'hold'
  /** On hold for its receipts, and as many others as the stream has copies may take it. */
  | 'receipt-lag';

/** Why a stream changed its provider. */
export type SwitchReason =
  /** The first choice after start. */
  | 'start'
  /** What it used before the restart. */
  | 'restored'
  /** There was no eligible provider, now there is one. */
  | 'recovered'
  /** The breaker of the one in use opened. */
  | 'breaker'
  /** The one in use was put on hold. */
  | 'hold'
  /** What the one in use acknowledged does not reach the router. */
  | 'receipt-lag'
  /**
   * A new policy took the one in use out by zone or by certification (I4), or its configuration disabled it.
   */
  | 'residency'
  | 'certification'
  | 'disabled'
  /** A new policy prefers or weighs otherwise. */
  | 'policy'
  /** One that comes earlier in preferred_providers is back, proven, past dwell and penalty. */
  | 'preferred'
  /** Another leads by the margin while the one in use is degraded. */
  | 'degraded'
  /** Another leads by the margin. */
  | 'score';

/** Why a provider's health changed. */
export type HealthReason =
  | 'start'
  /** As it was before the restart. */
  | 'restored'
  /** A refused connection, a TLS failure or a rejected credential: nothing will pass. */
  | 'refused'
  /** As many failures in a row as the policy allows. */
  | 'failures'
  | 'throttled'
  /** Too few of the recent tries were accepted. */
  | 'success-rate'
  /** Acknowledgements take several times as long as usual. */
  | 'latency'
  /** The signs that had degraded it are gone. */
  | 'signs-good'
  | 'pause-over'
  /** A try from before the pause was accepted during it. */
  | 'late-acceptance'
  | 'probe-failed'
  /** As many acceptances in a row as the policy asks for. */
  | 'proven';
