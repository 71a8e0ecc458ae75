/**
 * The provider seam. One publish is one try with a deadline and a typed outcome: the SQLite buffer is the
 * only queue, so SDK retry and SDK buffering are off in every implementation.
 */
import type { EnvelopeProperties } from '../../shared/envelope/envelope.ts';

export type ProviderType = 'aws' | 'azure' | 'gcp' | 'mqtt' | 'https';

/** An encoded envelope on its way to a provider. */
export interface OutboundEnvelope {
  gateway: string;
  stream: string;
  bytes: Uint8Array;
  properties: EnvelopeProperties;
}

/** Why a try did not reach the provider, or was told to come again. */
export type RetryableCause =
  | 'connection-refused'
  | 'connection-reset'
  | 'not-connected'
  | 'tls'
  | 'server-error'
  | 'unavailable'
  /**
   * The provider refused our signature for the time in it; the next try is signed with the corrected clock.
   */
  | 'clock-skew';

/** Why a provider will not take it, however often it is tried. */
export type RejectedCause = 'unauthorized' | 'not-found' | 'too-large' | 'invalid';

export type Outcome =
  /** The provider acknowledged it. The only outcome that frees a row (I3). */
  | { kind: 'accepted' }
  /** Not taken, as far as can be known; another try may succeed. */
  | { kind: 'retryable'; cause: RetryableCause; detail: string }
  /** The provider asked to slow down. */
  | { kind: 'throttled'; retryAfterMs: number | null; detail: string }
  /** `provider`: nothing will pass until an operator acts. `envelope`: this one will never pass here. */
  | { kind: 'rejected'; scope: 'provider' | 'envelope'; cause: RejectedCause; detail: string }
  /**
   * It may be there already: the deadline passed, the connection was lost after sending, or the SDK broke its
   * promise to answer at all (supervised.ts).
   */
  | { kind: 'unknown'; cause: 'deadline' | 'connection-lost' | 'abandoned'; detail: string }
  /**
   * Taken back by the caller before it ended: says nothing of the provider. `sent`: bytes may have left, and
   * be billed.
   */
  | { kind: 'cancelled'; sent: boolean; detail: string };

/**
 * How a provider ended a connection by itself that something had been sent over, while it lets us connect
 * again: `late`, soon after an acknowledgement that took very long; `unanswered`, before it acknowledged
 * anything. IoT Hub's only words for a limit.
 */
export type Cut = 'late' | 'unanswered';

export interface Publisher {
  readonly type: ProviderType;
  /** Largest envelope, in bytes, that fits the provider's message limit with topic and properties. */
  readonly maxEnvelopeBytes: number;
  /**
   * One try. Connects first when needed, inside the same deadline. Settles within `deadlineMs` (plus a few
   * ms) with an outcome, whatever the SDK does; never rejects. Safe to call concurrently.
   *
   * `signal` takes it back: what has not left yet never leaves, and what has is cancelled where the protocol
   * can. Where it cannot (MQTT), the try goes on to its end, because its acceptance is billed and worth
   * knowing.
   */
  publish(message: OutboundEnvelope, deadlineMs: number, signal?: AbortSignal): Promise<Outcome>;
  /**
   * Ends connections and in-flight tries (they settle as `unknown`); resolves within about a second, always.
   */
  close(): Promise<void>;
}

/** The outcome of a try that was taken back before anything of it left. */
export const NOT_SENT: Outcome = { kind: 'cancelled', sent: false, detail: 'taken back before it was sent' };
/** Of one whose bytes may be there. */
export const TAKEN_BACK: Outcome = { kind: 'cancelled', sent: true, detail: 'taken back after it was sent' };
