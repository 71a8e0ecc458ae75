/**
 * The provider seam. One publish is one try with a deadline and a typed outcome: the SQLite buffer is the
 * only queue, so SDK retry and SDK buffering are off in every implementation.
 */
import type { EnvelopeProperties } from '../../shared/envelope/envelope.ts';

/** An encoded envelope on its way to a provider. */
export interface OutboundEnvelope {
  gateway: string;
  stream: string;
  bytes: Uint8Array;
  properties: EnvelopeProperties;
}

/** How far a try has come. */
export type Phase =
  /** It waits for a place among those in flight. */
  | 'queue'
  | 'credentials'
  | 'dns'
  | 'connect'
  | 'tls'
  /** The provider has not said yet that it lets us in (CONNACK). */
  | 'login'
  /** The envelope leaves, or has left, and the provider has not answered. */
  | 'request'
  /** The answer has begun. */
  | 'answer';

/** Why a try did not reach the provider, or was told to come again. */
export type RetryableCause =
  | 'connection-refused'
  | 'connection-reset'
  | 'not-connected'
  /** The provider's name was not resolved. */
  | 'dns'
  /** The deadline passed before anything left: no name, no connection, no handshake, no login. */
  | 'timeout'
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
  | { kind: 'retryable'; cause: RetryableCause; phase?: Phase; detail: string }
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

/** The time and the end of one try: the same values from the sender to the socket. */
export interface PublishAttempt {
  /** Monotonic milliseconds at which it is settled, whatever the SDK does. */
  readonly endsAtMs: number;
  /** Aborts when the caller takes it back. */
  readonly signal: AbortSignal;
}

export interface Publisher {
  /** Of the provider. */
  readonly type: string;
  /** Largest envelope, in bytes, that fits the provider's message limit with topic and properties. */
  readonly maxEnvelopeBytes: number;
  /**
   * One try. Connects first when needed, inside the same time. Settles by `attempt.endsAtMs` (plus a few ms)
   * with an outcome, whatever the SDK does; never rejects. Safe to call concurrently.
   *
   * A try that is taken back before it left never leaves. One that has left is cancelled where the protocol
   * can. Where it cannot (MQTT), it goes on to its end, because its acceptance is billed and worth knowing.
   */
  publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome>;
  /**
   * Ends connections and tries: those that have left settle as `unknown`, the others as not connected, like
   * every later one. Resolves within about a second, always. Idempotent.
   */
  close(): Promise<void>;
}

/** The outcome of a try that was taken back before anything of it left. */
export const NOT_SENT: Outcome = { kind: 'cancelled', sent: false, detail: 'taken back before it was sent' };
/** The same of a try whose bytes may be there. */
export const TAKEN_BACK: Outcome = { kind: 'cancelled', sent: true, detail: 'taken back after it was sent' };
