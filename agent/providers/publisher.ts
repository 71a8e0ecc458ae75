/**
 * The interface of all publishers. One publish is one try with a deadline and a typed outcome: the SQLite
 * buffer is the only queue, so SDK retry and SDK buffering are off in every implementation.
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
  /** The try waits for a place among those in flight. */
  | 'queue'
  | 'credentials'
  | 'dns'
  | 'connect'
  | 'tls'
  /** The provider has not accepted the login yet (CONNACK). */
  | 'login'
  /** The envelope is being sent or was sent, and the provider has not answered. */
  | 'request'
  /** The answer has begun. */
  | 'answer';

/** Why a try did not reach the provider, or must be repeated later. */
export type RetryableCause =
  | 'connection-refused'
  | 'connection-reset'
  | 'not-connected'
  /** The provider's name was not resolved. */
  | 'dns'
  /** The deadline passed before anything was sent: during look-up, connect, handshake or login. */
  | 'timeout'
  | 'tls'
  | 'server-error'
  | 'unavailable'
  /** The provider refused the signature for its time; the next try is signed with the corrected clock. */
  | 'clock-skew';

/** Why a provider permanently refuses an envelope. */
export type RejectedCause = 'unauthorized' | 'not-found' | 'too-large' | 'invalid';

export type Outcome =
  /** The provider acknowledged it. The only outcome that frees a row (I3). */
  | { kind: 'accepted' }
  /** Not accepted, as far as is known; another try may succeed. */
  | { kind: 'retryable'; cause: RetryableCause; phase?: Phase; detail: string }
  /**
   * The provider asked to slow down, or, with the cause `quota`, says that a quota of the account is used up.
   */
  | { kind: 'throttled'; cause?: 'quota'; retryAfterMs: number | null; detail: string }
  /**
   * `provider`: every envelope is refused until an operator acts. `envelope`: this provider never accepts
   * this envelope.
   */
  | { kind: 'rejected'; scope: 'provider' | 'envelope'; cause: RejectedCause; detail: string }
  /**
   * The envelope may have arrived: the deadline passed, the connection was lost after sending, or the SDK
   * never settled (supervised.ts). Tries that shared the lost connection end with one and the same value.
   */
  | { kind: 'unknown'; cause: 'deadline' | 'connection-lost' | 'abandoned'; detail: string }
  /**
   * Taken back by the caller before its end: says nothing about the provider. `sent`: bytes may have left,
   * and may be billed.
   */
  | { kind: 'cancelled'; sent: boolean; detail: string };

/**
 * How a provider ended a connection after a publish was sent over it, while it still accepts new connections.
 * `late`: soon after a very late acknowledgement; `unanswered`: before any acknowledgement. IoT Hub signals
 * its limits only in this way.
 */
export type Cut = 'late' | 'unanswered';

/** Deadline and abort of one try: the same values from the sender to the socket. */
export interface PublishAttempt {
  /** Monotonic milliseconds by which the try is settled, whatever the SDK does. */
  readonly endsAtMs: number;
  /** Aborts when the caller takes the try back. */
  readonly signal: AbortSignal;
}

export interface Publisher {
  /** Type of the provider. */
  readonly type: string;
  /** Largest envelope, in bytes, that fits the provider's message limit with topic and properties. */
  readonly maxEnvelopeBytes: number;
  /**
   * One try. Connects first when needed, within the same deadline. Settles by `attempt.endsAtMs` (plus a few
   * ms) with an outcome, whatever the SDK does; never rejects. Safe to call concurrently.
   *
   * A try that is taken back before it was sent is never sent. A sent try is cancelled where the protocol
   * allows it. Where it does not (MQTT), the try goes on to its end, because its acceptance is billed and
   * worth knowing.
   */
  publish(message: OutboundEnvelope, attempt: PublishAttempt): Promise<Outcome>;
  /**
   * Ends connections and tries: sent tries settle as `unknown`, the others, and every later one, as not
   * connected. Always resolves within about a second. Idempotent.
   */
  close(): Promise<void>;
}

/** The outcome of a try that was taken back before anything of it left. */
export const NOT_SENT: Outcome = { kind: 'cancelled', sent: false, detail: 'taken back before it was sent' };
/** The outcome of a try that was taken back after its bytes may have arrived. */
export const TAKEN_BACK: Outcome = { kind: 'cancelled', sent: true, detail: 'taken back after it was sent' };
