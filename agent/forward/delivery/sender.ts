/**
 * The forwarder's view of one provider: a bounded number of tries under way, each reported to routing and
 * metered. Senders share nothing, so one provider never delays another.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { Logger } from '../../../shared/log.ts';
import { faultOf, type ProviderFault } from '../../providers/fault.ts';
import type { OutboundEnvelope, Outcome, Publisher } from '../../providers/publisher.ts';
import type { LiveRouting } from '../../routing/live-routing.ts';
import type { Lane } from '../queue/lanes.ts';
import { BacklogWindow } from './backlog-window.ts';
import { SizeLimit } from './size-limit.ts';

/**
 * Most envelopes under way at one provider, and one probe beside them (I10). Below this, the SDKs' own queues
 * stay empty. The backlog never takes all of it (backlog-window.ts), so a live envelope finds room.
 */
const IN_FLIGHT_MAX = 8;
/** The signal of a try that is never taken back. */
const NEVER = new AbortController().signal;
/** Others do not enter for this long after an envelope that is to be alone had to wait for them. */
const CLEARING_MS = 200;
/** Said of limits that no answer of the provider told. */
const LIMIT_DETAILS = {
  throttled: 'it acknowledges late, or cuts connections: it is asked for too much',
  quota: 'by our own count the quota of its day is used up',
  'quota-exhausted': 'it cuts every connection without an answer: the quota of its day is used up',
};
/** Failure lines per provider and second; further failures are only counted (I10). */
const FAILURE_LINES_PER_SECOND = 5;

export interface SenderCounters {
  accepted: number;
  failed: number;
  /** Of these, tries that the SDK never answered. */
  abandoned: number;
  /** Units that the provider bills for accepted envelopes. */
  units: number;
}

/** Why the provider accepts nothing. */
export interface SenderFault {
  cause: ProviderFault;
  /** Detail of the last failure with this cause. */
  detail: string;
  /** Monotonic milliseconds of the first failure with this cause. */
  sinceMs: number;
}

/** Called for every try; returns the billed units. */
export type CountTry = (provider: string, message: OutboundEnvelope, outcome: Outcome) => number;

/** Room for one envelope under way, until a try ends it or it is given back. */
export interface Reservation {
  readonly lane: Lane;
  /** Upper bound of the envelope's size, unless one record alone is larger. */
  readonly bytes: number;
  /** Nothing else but a probe is under way with it. */
  readonly isAlone: boolean;
}

/** The facts about an envelope beside its bytes. */
export interface TryRules {
  /**
   * The meaning of an outcome for these records, which may be more than the provider could say. Asked before
   * anything learns of the outcome.
   */
  verdict(outcome: Outcome): Outcome;
  /** Of an envelope that is larger than live ones and cannot be halved; else null. */
  upload: Upload | null;
}

/** A single large record: a missed deadline may be the uplink's. */
export interface Upload {
  /** Milliseconds that its last try had in vain; null before. */
  missedMs: number | null;
  /** The try has missed its deadline. */
  onMissed(givenMs: number): void;
}

const PLAIN: TryRules = { verdict: (outcome) => outcome, upload: null };

export class Sender {
  readonly provider: string;
  readonly counters: SenderCounters = { accepted: 0, failed: 0, abandoned: 0, units: 0 };
  readonly #publisher: Publisher;
  readonly #routing: LiveRouting;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #count: CountTry;
  readonly #maxEnvelopeBytes: number | undefined;
  readonly size = new SizeLimit();
  readonly #onOutcome: (outcome: Outcome, latencyMs: number) => void;
  readonly #window = new BacklogWindow();
  readonly #tries = new Set<Promise<Outcome>>();
  #fault: SenderFault | null = null;
  #reserved = 0;
  #isTakenAlone: boolean = false;
  #clearingUntilMs = Number.NEGATIVE_INFINITY;
  /** Tries under way that have more time than a usual deadline. */
  #uploads = 0;
  /** Tries of single large records under way, and when the last one missed its deadline. */
  #large = 0;
  #lastLoss: Outcome | null = null;
  #missedMs = Number.NEGATIVE_INFINITY;
  #failureLines = 0;
  #failureSecond = 0;

  constructor(options: {
    provider: string;
    publisher: Publisher;
    routing: LiveRouting;
    clock: Clock;
    log: Logger;
    count: CountTry;
    /** The configured provider's limit; default: the publisher's own. */
    maxEnvelopeBytes?: number;
    onOutcome: (outcome: Outcome, latencyMs: number) => void;
  }) {
    this.provider = options.provider;
    this.#publisher = options.publisher;
    this.#routing = options.routing;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#count = options.count;
    this.#maxEnvelopeBytes = options.maxEnvelopeBytes;
    this.#onOutcome = options.onOutcome;
  }

  /**
   * The provider's documented limit, lowered by envelopes that it has refused as too large since the start.
   */
  get maxEnvelopeBytes(): number {
    return Math.min(this.#maxEnvelopeBytes ?? this.#publisher.maxEnvelopeBytes, this.size.maxBytes);
  }

  /** Size to pack several records to: less than the limit while the true limit is searched. */
  get aimEnvelopeBytes(): number {
    return Math.min(this.maxEnvelopeBytes, this.size.aimBytes(this.#clock.monoMs()));
  }

  /**
   * Why nothing is accepted: a limit that holds it, or why the last try failed; null once one is accepted.
   */
  get fault(): SenderFault | null {
    const limit = this.#routing.limitOf(this.provider);
    if (limit === null) return this.#fault;
    const sinceMs = this.#fault?.sinceMs ?? this.#clock.monoMs();
    return { cause: limit === 'throttled' ? 'throttled' : 'quota', detail: LIMIT_DETAILS[limit], sinceMs };
  }

  /** Tries under way, including probes. */
  get inFlight(): number {
    return this.#tries.size;
  }

  /** Whether an upload is under way that has more time than a deadline, and nothing beside it. */
  get isUploading(): boolean {
    return this.#uploads > 0;
  }

  /** Most bytes of the backlog under way. */
  get backlogWindowBytes(): number {
    return this.#window.bytes;
  }

  /** Size of a backlog envelope now. */
  get backlogEnvelopeBytes(): number {
    return this.#window.envelopeBytes(this.#clock.monoMs());
  }

  /**
   * Reserves room for an envelope of at most `bytes`; null when there is none now. A suspect
   * envelope gets room for itself alone, because it may end the connection that others share.
   */
  enter(lane: Lane, bytes: number, isSuspect = false): Reservation | null {
    const nowMs = this.#clock.monoMs();
    const isAlone = isSuspect || this.size.isDoubtful(bytes, nowMs);
    if (isAlone && this.#reserved > 0) {
      this.#clearingUntilMs = nowMs + CLEARING_MS;
      return null;
    }
    if (this.#isTakenAlone || (!isAlone && nowMs < this.#clearingUntilMs)) return null;
    if (this.#reserved >= IN_FLIGHT_MAX) return null;
    if (lane === 'backlog' && !this.#window.enter(bytes, nowMs)) return null;
    this.#reserved += 1;
    this.#isTakenAlone = isAlone;
    if (isAlone) this.#clearingUntilMs = Number.NEGATIVE_INFINITY;
    return { lane, bytes, isAlone };
  }

  /** Gives back a reservation without a try. */
  leave({ lane, bytes, isAlone }: Reservation): void {
    this.#reserved -= 1;
    if (isAlone) this.#isTakenAlone = false;
    if (lane === 'backlog') this.#window.leave(bytes);
  }

  /**
   * One try within routing's current deadline for this provider; ends the reservation. `signal` takes the try
   * back.
   */
  send(
    message: OutboundEnvelope,
    reservation: Reservation,
    signal?: AbortSignal,
    rules?: TryRules,
  ): Promise<Outcome> {
    return this.#tracked(this.#send(message, reservation, signal, rules));
  }

  /**
   * A try with a heartbeat. It needs no reservation: a provider without room must be probed too. Behind an
   * upload that has more time than a deadline it would miss its own, and say nothing.
   */
  async probe(message: OutboundEnvelope): Promise<void> {
    if (!this.isUploading) await this.#tracked(this.#try(message, true).then(({ outcome }) => outcome));
  }

  /** Resolves when the tries under way have ended and are counted. */
  async close(): Promise<void> {
    await this.#publisher.close();
    await Promise.allSettled(this.#tries);
  }

  #tracked(ended: Promise<Outcome>): Promise<Outcome> {
    this.#tries.add(ended);
    const forget = (): void => void this.#tries.delete(ended);
    ended.then(forget, forget);
    return ended;
  }

  async #send(
    message: OutboundEnvelope,
    reservation: Reservation,
    signal: AbortSignal | undefined,
    rules: TryRules | undefined,
  ): Promise<Outcome> {
    const isSlow = rules?.upload?.missedMs != null;
    if (isSlow) this.#uploads += 1;
    try {
      const { outcome, latencyMs } = await this.#try(message, false, signal, rules);
      if (reservation.lane === 'backlog' && !isSlow) this.#adapt(message.bytes.length, outcome, latencyMs);
      return outcome;
    } finally {
      if (isSlow) this.#uploads -= 1;
      this.leave(reservation);
    }
  }

  async #try(
    message: OutboundEnvelope,
    probe: boolean,
    signal: AbortSignal = NEVER,
    { verdict, upload }: TryRules = PLAIN,
  ): Promise<{ outcome: Outcome; latencyMs: number }> {
    const startedMs = this.#clock.monoMs();
    const size = message.bytes.length;
    const missedMs = upload?.missedMs ?? null;
    const givenMs =
      missedMs === null
        ? this.#routing.deadlineMs(this.provider, size)
        : this.#routing.uploadMs(size, missedMs);
    const attempt = { endsAtMs: startedMs + givenMs, signal };
    if (upload) this.#large += 1;
    const told = await this.#publisher.publish(message, attempt);
    if (upload) this.#large -= 1;
    // One connection that several tries shared was lost once.
    const isAgain = told.kind === 'unknown' && told === this.#lastLoss;
    if (told.kind === 'unknown') this.#lastLoss = told;
    const outcome = verdict(told);
    const isMissed = this.#isByUplink(outcome, upload, startedMs);
    if (isMissed) upload?.onMissed(givenMs);
    const latencyMs = this.#clock.monoMs() - startedMs;
    this.counters.units += this.#count(this.provider, message, outcome);
    if (outcome.kind === 'accepted') {
      this.counters.accepted += 1;
      this.size.accepted(message.bytes.length);
      this.#window.saw(latencyMs, this.#clock.monoMs());
      this.#logAccepted(message, latencyMs);
    } else if (outcome.kind !== 'cancelled') {
      this.#failed(message, outcome, latencyMs);
    }
    this.#noteFault(outcome);
    this.#onOutcome(outcome, latencyMs);
    this.#routing.dispatch({
      kind: 'published',
      provider: this.provider,
      outcome,
      latencyMs,
      bytes: message.bytes.length,
      probe,
      ...(isAgain && { means: 'nothing' }),
      ...(isMissed && { means: 'ask' }),
    });
    return { outcome, latencyMs };
  }

  /** Whether the missed deadline may be the uplink's: of a single large record, or of a try behind it. */
  #isByUplink(outcome: Outcome, upload: Upload | null, startedMs: number): boolean {
    if (outcome.kind !== 'unknown' || outcome.cause !== 'deadline') return false;
    if (upload) this.#missedMs = this.#clock.monoMs();
    return upload !== null || this.#large > 0 || startedMs < this.#missedMs;
  }

  #noteFault(outcome: Outcome): void {
    if (outcome.kind === 'accepted') this.#fault = null;
    const cause = faultOf(outcome);
    if (cause === null || !('detail' in outcome)) return;
    const sinceMs = this.#fault?.cause === cause ? this.#fault.sinceMs : this.#clock.monoMs();
    this.#fault = { cause, detail: outcome.detail, sinceMs };
  }

  /** Adapts the backlog window to the outcome of a backlog envelope. */
  #adapt(bytes: number, outcome: Outcome, latencyMs: number): void {
    const nowMs = this.#clock.monoMs();
    if (outcome.kind === 'accepted') this.#window.accepted(bytes, latencyMs, nowMs);
    const isLate = outcome.kind === 'unknown' && outcome.cause !== 'connection-lost';
    if (isLate || outcome.kind === 'throttled') this.#window.missed(nowMs - latencyMs, nowMs);
  }

  #logAccepted({ properties }: OutboundEnvelope, latencyMs: number): void {
    const { ep: epoch, st: stream, first, last } = properties;
    const { provider } = this;
    this.#log.debug({
      event: 'publish.accepted',
      provider,
      epoch,
      stream,
      first,
      last,
      latencyMs: Math.round(latencyMs),
    });
  }

  #failed(
    message: OutboundEnvelope,
    outcome: Exclude<Outcome, { kind: 'accepted' }>,
    latencyMs: number,
  ): void {
    const isTooLarge = outcome.kind === 'rejected' && outcome.cause === 'too-large';
    if (isTooLarge) this.size.refused(message.bytes.length);
    this.counters.failed += 1;
    if (outcome.kind === 'unknown' && outcome.cause === 'abandoned') this.counters.abandoned += 1;
    const second = Math.floor(this.#clock.monoMs() / 1000);
    if (second !== this.#failureSecond) {
      this.#failureSecond = second;
      this.#failureLines = 0;
    }
    this.#failureLines += 1;
    if (this.#failureLines > FAILURE_LINES_PER_SECOND) return;
    const { ep: epoch, st: stream, first, last } = message.properties;
    this.#log.warn({
      event: 'publish.failed',
      provider: this.provider,
      epoch,
      stream,
      first,
      last,
      latencyMs: Math.round(latencyMs),
      ...outcome,
    });
  }
}

export function senderOf(senders: ReadonlyMap<string, Sender>, provider: string): Sender {
  const sender = senders.get(provider);
  if (!sender) throw new Error(`no sender for provider ${provider}`);
  return sender;
}

/** Providers whose limit is below `bytes`. */
export function tooSmallFor(senders: ReadonlyMap<string, Sender>, bytes: number): Set<string> {
  const all = [...senders].filter(([, sender]) => sender.maxEnvelopeBytes < bytes);
  return new Set(all.map(([provider]) => provider));
}

/** Providers where nothing else is sent for a while: a long upload is under way. */
export function uploadingAt(senders: ReadonlyMap<string, Sender>): Set<string> {
  return new Set([...senders.values()].filter((one) => one.isUploading).map(({ provider }) => provider));
}
