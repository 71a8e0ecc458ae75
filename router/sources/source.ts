/** The interface of a source: read a message, deliver it, settle it only after the ledger's commit (I5). */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { Logger } from '../../shared/log.ts';

/** One provider message, not yet settled. */
export interface Delivery {
  /** Configured name of the source, for example `aws`. */
  source: string;
  bytes: Uint8Array;
  /** The gateway's identity as the provider authenticated it; null for a provider that does not report it. */
  authenticatedGateway: string | null;
  /** Deliveries of this message so far, counting this one; null for a provider that does not report them. */
  deliveryCount: number | null;
  /**
   * Wall-clock ms of the provider's intake of the message; null or absent for a provider that does not report
   * it.
   */
  enqueuedWallMs?: number | null;
  /**
   * Why the gateway sent the envelope, from a property beside the bytes; null or absent without that
   * property.
   */
  sentAs?: SendReason | null;
  /** Why the message cannot be an envelope, where the source itself finds out: it becomes a dead letter. */
  problem?: { reason: 'rule'; detail: string };
  /**
   * Called with the reason when the message becomes a dead letter; the settlement is `settle` all the same.
   */
  onDeadLetter?: (reason: string) => void;
  /**
   * Asked when the gateway is over a quota, which admits a message again in `waitMs`: whether this one may be
   * left for later, delaying those of no other gateway. Absent, or false: it becomes a dead letter.
   */
  mayWait?: (waitMs: number) => boolean;
  /** The provider's properties of the message; called only for a dead letter. */
  properties?: () => Readonly<Record<string, string>>;
}

/**
 * `settle`: committed or dead-lettered, so confirm it to the provider. `retry`: leave it for redelivery; the
 * ledger commits nothing at present, so nothing is received until it does. `later`: leave it for redelivery
 * after a longer pause; the ledger commits others, and each delivery until then counts towards the provider's
 * limit of deliveries.
 */
export type Settlement = 'settle' | 'retry' | 'later';

/** Never rejects: failures of the ledger come back as `retry` or `later`. May be called concurrently. */
export type DeliveryHandler = (delivery: Delivery) => Promise<Settlement>;

export interface SourceState {
  /** The provider has answered or delivered since the last failure. */
  connected: boolean;
  received: number;
  settled: number;
  /** The error of an ongoing failure; null once the provider has answered again. */
  lastError: string | null;
  /** Connections that the router ended because no answer came. */
  cuts: number;
  /** Answers by which the provider asked to slow down. */
  throttled: number;
  /** Messages that the provider dropped by age before they were read, where the provider shows it. */
  expired: number;
  /** Wall-clock ms of the last message, null before the first. */
  lastReceivedMs: number | null;
  /**
   * Messages waiting at the provider at the last look; null where the provider does not report them, or not
   * now.
   */
  backlog: number | null;
}

export interface Source {
  readonly name: string;
  /** A key of the table of source types (open.ts). */
  readonly type: string;
  /**
   * Starts reading; resolves once running. A provider that is down is not an error: the source retries for
   * ever, with backoff and a log line.
   */
  start(handler: DeliveryHandler): Promise<void>;
  /** Takes no new message, waits for the messages in hand to settle (at most about 5 s), then disconnects. */
  stop(): Promise<void>;
  state(): SourceState;
}

/**
 * Whether the ledger commits at present. While it does not, a source receives nothing: each receive would
 * count towards the provider's delivery limit (a redrive or dead-letter policy).
 */
export interface IntakeGate {
  readonly isOpen: boolean;
  /** Resolves when the gate is open, or `signal` aborts. */
  opened(signal: AbortSignal): Promise<void>;
}

/** The dependencies of every source. */
export interface SourceDeps {
  /** Absent: always open. */
  gate?: IntakeGate;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export const OPEN_GATE: IntakeGate = { isOpen: true, opened: () => Promise.resolve() };

/** The state before the first connection. */
export function initialSourceState(): SourceState {
  return {
    connected: false,
    received: 0,
    settled: 0,
    lastError: null,
    cuts: 0,
    throttled: 0,
    expired: 0,
    lastReceivedMs: null,
    backlog: null,
  };
}
