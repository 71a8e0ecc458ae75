/**
 * The world's model of a cloud: a way in with latency, loss and refusals, acknowledgements that get lost or
 * lie, and a queue to the router that delivers at least once and in no order. What is left unsettled is
 * delivered again.
 */
import {
  type OutboundEnvelope,
  type Outcome,
  type Publisher,
  TAKEN_BACK,
} from '../../agent/providers/publisher.ts';
import type { Settlement } from '../../router/sources/source.ts';
import type { Entropy } from '../../shared/entropy.ts';
import { decodeEnvelope } from '../../shared/envelope/codec.ts';
import { type Envelope, HEARTBEAT_STREAM } from '../../shared/envelope/envelope.ts';
import type { SendReason } from '../../shared/envelope/send-reason.ts';
import type { CloudFaultKind, CloudName } from './plan.ts';
import type { ProcessClock, VirtualTime } from './time.ts';
import type { Truth } from './truth.ts';

/** The smallest limit of the vendors: AWS IoT takes 128 KiB with topic and properties. */
const ENVELOPE_BYTES_MAX = 127 * 1024;
/** Eight envelopes, and a heartbeat beside them. */
const IN_FLIGHT_MAX = 8 + 1;
const REDELIVER_MS = 30_000;
const DUPLICATE_SHARE = 0.03;
/**
 * Of the messages, those that a part of the queue which lags brings so much later: after a gap that gave
 * their records up.
 */
const LATE_SHARE = 0.1;
const LATE_MS_MAX = 60_000;

/** The same bytes come to several clouds. */
const decoded = new WeakMap<Uint8Array, Envelope>();

export interface CloudMessage {
  cloud: CloudName;
  gateway: string;
  bytes: Uint8Array;
  envelope: Envelope;
  sentAs: SendReason | null;
  deliveries: number;
  isSettled: boolean;
}

export interface CloudFault {
  kind: CloudFaultKind;
  /** Null: all gateways. */
  gateway: string | null;
  share: number;
}

export interface CloudOptions {
  name: CloudName;
  region: string;
  time: VirtualTime;
  entropy: Entropy;
  truth: Truth;
  /**
   * By the zones of the gateway's policy in force, and the regions of each zone: the world's own list (I4).
   */
  mayHold: (gateway: string, stream: string, region: string) => boolean;
  /** False: no router runs, and the message is delivered later. */
  deliver: (message: CloudMessage) => boolean;
}

export class Cloud {
  readonly name: CloudName;
  readonly faults = new Set<CloudFault>();
  readonly #options: CloudOptions;
  readonly #latencyMs: number;

  constructor(options: CloudOptions) {
    this.name = options.name;
    this.#options = options;
    this.#latencyMs = 20 + 60 * options.entropy.float();
  }

  /** The publisher of one run of a gateway's agent. */
  publisher(gateway: string, clock: ProcessClock): Publisher {
    let inFlight = 0;
    return {
      type: this.name,
      maxEnvelopeBytes: ENVELOPE_BYTES_MAX,
      publish: async (message, { endsAtMs, signal }) => {
        inFlight += 1;
        const { truth } = this.#options;
        const [now, bytes] = [inFlight, message.bytes.length];
        truth.check(now <= IN_FLIGHT_MAX, 'I10', () => `${now} envelopes at ${this.name}`);
        truth.check(bytes <= ENVELOPE_BYTES_MAX, 'I10', () => `an envelope of ${bytes} bytes`);
        const { outcome: fate, afterMs } = this.#receive(gateway, message, endsAtMs - clock.monoMs());
        // One of the clouds speaks MQTT: what was sent there is not taken back.
        const takenBack = this.name === 'azure' ? undefined : signal;
        await clock.sleep(afterMs, takenBack);
        const outcome = takenBack?.aborted ? TAKEN_BACK : fate;
        inFlight -= 1;
        truth.note(
          'publish',
          this.name,
          gateway,
          message.stream,
          message.properties.first ?? '',
          outcome.kind,
        );
        return outcome;
      },
      close: () => Promise.resolve(),
    };
  }

  /** The router is done with a message, or leaves it. */
  settled(message: CloudMessage, settlement: Settlement): void {
    if (settlement === 'settle') message.isSettled = true;
  }

  /** Hands a message to the router, again and again until it is settled. */
  deliver(message: CloudMessage): void {
    const { time, deliver } = this.#options;
    if (!deliver(message)) return;
    time.after(REDELIVER_MS, () => {
      if (!message.isSettled) this.deliver(message);
    });
  }

  #receive(
    gateway: string,
    message: OutboundEnvelope,
    deadlineMs: number,
  ): { outcome: Outcome; afterMs: number } {
    const { entropy } = this.#options;
    const latencyMs = this.#latencyMs * (0.5 + entropy.float() - Math.log(1 - entropy.float()) / 4);
    const hit = (kind: CloudFaultKind): boolean =>
      [...this.faults].some(
        (fault) =>
          fault.kind === kind &&
          (fault.gateway === null || fault.gateway === gateway) &&
          entropy.float() < fault.share,
      );
    const detail = '';
    const late = {
      outcome: { kind: 'unknown', cause: 'deadline', detail },
      afterMs: deadlineMs,
    } as const;
    if (hit('refuse')) {
      return { outcome: { kind: 'retryable', cause: 'connection-refused', detail }, afterMs: 3 };
    }
    if (hit('blackhole') || hit('loss')) return late;
    if (hit('unauthorized')) {
      const outcome: Outcome = { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
      return { outcome, afterMs: latencyMs };
    }
    if (hit('throttle')) {
      const retryAfterMs = entropy.float() < 0.5 ? null : 1000 + 20_000 * entropy.float();
      return { outcome: { kind: 'throttled', retryAfterMs, detail }, afterMs: latencyMs };
    }
    if (hit('error')) {
      return { outcome: { kind: 'retryable', cause: 'server-error', detail }, afterMs: latencyMs };
    }
    const tookMs = hit('slow') ? latencyMs * 20 : latencyMs;
    this.#take(gateway, message, hit('grey'));
    if (tookMs > deadlineMs) return late;
    if (hit('ack-loss')) {
      return { outcome: { kind: 'unknown', cause: 'connection-lost', detail }, afterMs: tookMs };
    }
    return { outcome: { kind: 'accepted' }, afterMs: tookMs };
  }

  /** It is in the cloud. A grey cloud says so and drops it. */
  #take(gateway: string, { bytes, properties }: OutboundEnvelope, isDropped: boolean): void {
    const envelope = decoded.get(bytes) ?? decodeEnvelope(bytes);
    decoded.set(bytes, envelope);
    this.#inspect(envelope, isDropped);
    if (isDropped) return;
    const { time, entropy } = this.#options;
    const sentAs = properties.why ?? null;
    this.#options.truth.sent(envelope, sentAs);
    const message = { cloud: this.name, gateway, bytes, envelope, sentAs, deliveries: 0, isSettled: false };
    const lagMs = entropy.float() < LATE_SHARE ? LATE_MS_MAX * entropy.float() : 0;
    time.after(lagMs + 30 - Math.log(1 - entropy.float()) * 200, () => this.deliver(message));
    if (entropy.float() < DUPLICATE_SHARE) {
      time.after(60_000 * entropy.float(), () => this.deliver(message));
    }
  }

  #inspect(envelope: Envelope, isDropped: boolean): void {
    const { truth, mayHold, region } = this.#options;
    const { gateway, epoch, stream, records, gaps, sealedAt } = envelope;
    if (stream === HEARTBEAT_STREAM) return;
    const says = records.length + gaps.length > 0 || sealedAt !== null;
    truth.check(says, 'I3', () => `an envelope of ${stream} of ${gateway} tells of no record, gap or end`);
    truth.check(mayHold(gateway, stream, region), 'I4', () => `${stream} of ${gateway} left for ${region}`);
    let before = 0;
    for (const record of records) {
      const id = `${gateway}/${epoch}/${stream}/${record.seq}`;
      const known = truth.arrived(id, record, this.name);
      known?.acknowledged.add(this.name);
      if (known && !isDropped) known.isForwarded = true;
      truth.check(record.seq > before, 'I7', () => `${id} comes after ${before}`);
      before = record.seq;
    }
    if (!isDropped) return;
    for (const { first, last } of gaps) {
      for (let seq = first; seq <= last; seq += 1) {
        const known = truth.records.get(`${gateway}/${epoch}/${stream}/${seq}`);
        if (known) known.isGapDropped = true;
      }
    }
  }
}
