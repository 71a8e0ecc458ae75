/** The provider seam on the router's side: read, hand over, settle only after the ledger committed (I5). */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { Logger } from '../../shared/log.ts';

/** One provider message, not yet settled. */
export interface Delivery {
  /** Configured name of the source, for example `aws`. */
  source: string;
  bytes: Uint8Array;
  /** The gateway's identity as the provider authenticated it, where it tells; null where it does not. */
  authenticatedGateway: string | null;
  /** How often the provider has delivered this message, counting this one; null where it does not tell. */
  deliveryCount: number | null;
  /** Wall-clock ms when the provider took the message in; null or absent where it does not tell. */
  enqueuedWallMs?: number | null;
  /** What the gateway says beside the bytes of why it sent them; null or absent where nothing came of it. */
  sentAs?: SendReason | null;
  /** Why it can be no envelope, where the source can tell that itself: it becomes a dead letter. */
  problem?: { reason: 'rule'; detail: string };
  /** Told why, when it is kept aside as a dead letter; the settlement is `settle` all the same. */
  onDeadLetter?: (reason: string) => void;
  /** What the provider says beside the bytes; asked for only when the message becomes a dead letter. */
  properties?: () => Readonly<Record<string, string>>;
}

/** `settle`: committed (or dead-lettered), tell the provider it is done. `retry`: leave it for redelivery. */
export type Settlement = 'settle' | 'retry';

/** Never rejects: failures of the ledger come back as `retry`. May be called concurrently. */
export type DeliveryHandler = (delivery: Delivery) => Promise<Settlement>;

export interface SourceState {
  /** The provider has answered or delivered something, and nothing has failed since. */
  connected: boolean;
  received: number;
  settled: number;
  /** Of a failure that is not over yet; null once the provider has answered again. */
  lastError: string | null;
  /** Connections that the router ended because nothing was answered on them. */
  cuts: number;
  /** Messages that the provider dropped by age before they were read, where it can be told. */
  expired: number;
  /** Wall-clock ms of the last message, null before the first. */
  lastReceivedMs: number | null;
  /** Messages that wait at the provider, when it was last asked; null where it does not tell, or not now. */
  backlog: number | null;
}

export interface Source {
  readonly name: string;
  /** As in the table of source types (open.ts). */
  readonly type: string;
  /**
   * Begins reading; resolves once running. A provider that is down is not an error: it is retried for ever,
   * with backoff and a log line.
   */
  start(handler: DeliveryHandler): Promise<void>;
  /** Takes no new message, waits for those in hand to settle (bounded to about 5 s), then disconnects. */
  stop(): Promise<void>;
  state(): SourceState;
}

/**
 * Whether the ledger commits at present. A source receives nothing while it does not: each receipt would
 * count towards the provider's limit of deliveries (a redrive or dead-letter policy).
 */
export interface IntakeGate {
  readonly isOpen: boolean;
  /** Resolves when the gate is open, or `signal` aborts. */
  opened(signal: AbortSignal): Promise<void>;
}

/** What every source is made with. */
export interface SourceDeps {
  /** Absent: always open. */
  gate?: IntakeGate;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export const OPEN_GATE: IntakeGate = { isOpen: true, opened: () => Promise.resolve() };

/** Before the first connection. */
export function initialSourceState(): SourceState {
  return {
    connected: false,
    received: 0,
    settled: 0,
    lastError: null,
    cuts: 0,
    expired: 0,
    lastReceivedMs: null,
    backlog: null,
  };
}
