/**
 * One connection to the hub, from CONNECT to its end, through the vendor's SDK. A session is never
 * reconnected: the next connection is a new session with a new SDK client, because the SDK's own reconnect
 * holds messages back without a bound, and its `close()` waits for ever for an unacknowledged publish.
 *
 * The seam is the SDK's MQTT library: it gets a `connect` function of this class, which sets the time-out
 * (the SDK's is fixed at 60 s), receives errors with their codes, and keeps the raw stream. Destroying that
 * stream first makes every pending call of the SDK return.
 */
import type { TransportConfig } from 'azure-iot-common';
import type { Client } from 'azure-iot-device';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import type { NetworkAccess } from '../../../shared/network/options.ts';
import { connectionPhase } from '../connection-phase.ts';
import type { Cut, OutboundEnvelope, Outcome, Phase } from '../publisher.ts';
import { type ConnectFailure, connectFailure, lost, notConnected } from './outcome.ts';
import type { AzureSdk, RawMqttClient } from './sdk.ts';
import { TwinChannel } from './twin-channel.ts';
import { type Way, way } from './way.ts';

/** For TCP, TLS and CONNACK together. */
const CONNECT_TIMEOUT_MS = 5000;
const KEEPALIVE_SECONDS = 30;
/**
 * Longer than any session: the SDK's own renewal, which would cut the connection under its publishes, never
 * happens.
 */
const TOKEN_LIFETIME_SECONDS = 3600;
const TOKEN_MARGIN_SECONDS = 60;
/** An acknowledgement that took this long is late on any usable path. */
const LATE_MS = 1000;
const MAX_OVERDUE = 32;
/** A cut within this time after a late acknowledgement is attributed to it. */
const CUT_AFTER_LATE_MS = 2000;

export interface SessionOptions {
  sdk: AzureSdk;
  device: TransportConfig;
  /** PEM of the CA to trust instead of the system's. */
  ca: string | null;
  network: NetworkAccess & { websocket: boolean };
  /** Milliseconds until the session retires to renew its token; null without a token. */
  lifetimeMs: number | null;
  clock: Clock;
  /** Called once at the end of the session, for any reason. */
  onEnd: (detail: string) => void;
  /** The hub ended the session in a way that may signal a limit. */
  onCut: (cut: Cut) => void;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #way: Way;
  readonly #client: Client;
  readonly #stopTokens: () => void;
  readonly #inFlight = new Set<(outcome: Outcome) => void>();
  #raw: RawMqttClient | null = null;
  #phase: () => Phase = () => 'connect';
  /** The last error of the MQTT client underneath. */
  #heard: Error | null = null;
  /** Resolves with the reason when the session has ended. */
  readonly #over = Promise.withResolvers<string>();
  #ended: boolean = false;
  #loss: Outcome | null = null;
  /** Number of publishes without an acknowledgement in time, over the whole session. */
  #overdue = 0;
  #retiring: Promise<void> | null = null;
  #onDrained: (() => void) | null = null;
  #retirement: Timer | null = null;
  /** When the last PUBACK came, and whether it was late; null before the first. */
  #acked: { atMs: number; isLate: boolean } | null = null;

  constructor(options: SessionOptions) {
    const { sdk, device } = options;
    this.#options = options;
    this.#way = way(options);
    const { Transport } = this.#way;
    const base = new sdk.MqttBase({
      connect: (uri: string, settings: object) => this.#connectRaw(uri, settings),
    });
    if (device.x509) {
      this.#client = new sdk.Client(new Transport(new sdk.X509Authentication(device), base));
      this.#stopTokens = () => undefined;
    } else if (device.sharedAccessSignature) {
      this.#client = new sdk.Client(new Transport(new sdk.TokenAuthentication(device), base));
      this.#stopTokens = () => undefined;
    } else {
      const tokens = new sdk.KeyAuthentication(device, TOKEN_LIFETIME_SECONDS, TOKEN_MARGIN_SECONDS);
      this.#client = new sdk.Client(new Transport(tokens, base));
      this.#stopTokens = () => tokens.stop();
    }
    this.#client.setRetryPolicy(new sdk.NoRetry());
  }

  /** Connects; null on success. Settles within the connect time-out, also when `end` is called meanwhile. */
  async open(): Promise<ConnectFailure | null> {
    const { lifetimeMs, clock } = this.#options;
    const timeout = clock.setTimer(CONNECT_TIMEOUT_MS, () =>
      this.end(`no CONNACK within ${CONNECT_TIMEOUT_MS} ms`),
    );
    const error = await Promise.race([
      this.#openClient(),
      this.#over.promise.then((detail) => new Error(detail)),
    ]);
    timeout.cancel();
    if (error !== null) {
      const failure = connectFailure(this.#heard, error);
      this.end(failure.detail);
      return failure;
    }
    if (lifetimeMs !== null) this.#retirement = clock.setTimer(lifetimeMs, () => void this.retire());
    return null;
  }

  async #openClient(): Promise<unknown> {
    const { ca } = this.#options;
    try {
      await this.#client.setOptions({ keepalive: KEEPALIVE_SECONDS, ...(ca === null ? {} : { ca }) });
      await this.#client.open();
      return null;
    } catch (error) {
      return error;
    }
  }

  /** One publish on the open connection. Settles at the PUBACK or at the end of the session. */
  send(envelope: OutboundEnvelope): Promise<Outcome> {
    // The SDK would connect by itself, and hold the message back until then.
    if (this.#ended) return Promise.resolve(notConnected('connection closed'));
    const message = this.#message(envelope);
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        this.#inFlight.delete(settle);
        resolve(outcome);
        if (this.#inFlight.size === 0) this.#onDrained?.();
      };
      this.#inFlight.add(settle);
      const { clock } = this.#options;
      const sentMs = clock.monoMs();
      this.#client.sendEvent(message, (error) => {
        const atMs = clock.monoMs();
        if (!error) this.#acked = { atMs, isLate: atMs - sentMs >= LATE_MS };
        settle(error ? this.#lost(errorText(error)) : { kind: 'accepted' });
      });
    });
  }

  /**
   * The channel to the device's twin over this connection. Call once, when the connection is open; null when
   * it has ended already.
   */
  twin(metered: (bytes: number) => void): TwinChannel | null {
    if (this.#raw === null || this.#ended) return null;
    const { clock } = this.#options;
    return new TwinChannel({ raw: this.#raw, over: this.#over.promise, clock, metered });
  }

  /** How far the connection has come. */
  get phase(): Phase {
    return this.#phase();
  }

  /** Whether the hub has acknowledged a publish of this session. */
  get hasAccepted(): boolean {
    return this.#acked !== null;
  }

  get retiring(): Promise<void> | null {
    return this.#retiring;
  }

  /**
   * Ends the session after every publish in flight has its answer; no new publish may be sent. Resolves when
   * it has ended.
   */
  retire(): Promise<void> {
    this.#retiring ??= new Promise((resolve) => {
      this.#onDrained = () => {
        this.end('retired');
        resolve();
      };
      if (this.#inFlight.size === 0) this.#onDrained();
    });
    return this.#retiring;
  }

  /**
   * A publish sent at `sentMs` was not answered in time. The connection counts as dead when nothing else was
   * acknowledged since, because the SDK would wait until its keep alive fails. It also counts as dead when
   * too many publishes are unanswered, because the SDK keeps each of them (I10), or when the publish is
   * so large that the others wait behind it.
   */
  doubt(sentMs: number, isClogging = false): void {
    this.#overdue += 1;
    const isAlive = this.#acked !== null && this.#acked.atMs >= sentMs && !isClogging;
    if (isAlive && this.#overdue < MAX_OVERDUE) return;
    const detail = 'no acknowledgement within the deadline';
    this.end(detail, { kind: 'unknown', cause: 'deadline', detail });
  }

  /** Idempotent and immediate. Publishes in flight may have arrived: they settle as unknown. */
  end(detail: string, outcome: Outcome = this.#lost(detail)): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#retirement?.cancel();
    this.#stopTokens();
    this.#raw?.stream.destroy();
    for (const settle of [...this.#inFlight]) settle(outcome);
    this.#onDrained?.();
    this.#over.resolve(detail);
    this.#options.onEnd(detail);
  }

  /** One value for all publishes in flight: one loss. */
  #lost(detail: string): Outcome {
    this.#loss ??= lost(detail);
    return this.#loss;
  }

  #connectRaw(uri: string, settings: object): RawMqttClient {
    const address = this.#way.uri ?? uri;
    const raw = this.#options.sdk.mqtt.connect(address, {
      ...settings,
      ...this.#way.settings(),
      connectTimeout: 2 * CONNECT_TIMEOUT_MS,
    });
    this.#raw = raw;
    this.#phase = connectionPhase(raw.stream, new URL(address).hostname);
    hidePacket(raw);
    raw.on('error', (error) => {
      this.#heard = error;
    });
    raw.on('close', () => {
      const cut = this.#ended ? null : this.#cut();
      this.end(this.#heard ? errorText(this.#heard) : 'connection closed');
      if (cut !== null) this.#options.onCut(cut);
    });
    raw.once('packetreceive', ({ cmd }) => {
      // A proxy's page can look like a packet; no server sends a packet before CONNACK (MQTT 3.1.1, 3.2).
      if (cmd !== 'connack') this.#heard = new Error(`the answer is not MQTT: ${cmd} before connack`);
    });
    if (this.#ended) raw.stream.destroy();
    return raw;
  }

  /** The meaning of a cut by the hub at this moment; null: none. */
  #cut(): Cut | null {
    if (this.#acked === null) return this.#inFlight.size > 0 ? 'unanswered' : null;
    const sinceMs = this.#options.clock.monoMs() - this.#acked.atMs;
    return this.#acked.isLate && sinceMs <= CUT_AFTER_LATE_MS ? 'late' : null;
  }

  #message(envelope: OutboundEnvelope): InstanceType<AzureSdk['Message']> {
    const { buffer, byteOffset, byteLength } = envelope.bytes;
    const body = Buffer.from(buffer, byteOffset, byteLength);
    // The SDK serialises every message as JSON for a disabled debug line; byte by byte, this would cost more
    // than everything else.
    Object.defineProperty(body, 'toJSON', { value: () => null });
    const message = new this.#options.sdk.Message(body);
    for (const [key, value] of Object.entries(envelope.properties)) {
      if (value !== undefined) message.properties.add(key, value);
    }
    return message;
  }
}

/**
 * The SDK also serialises the result of a publish as JSON: the whole packet with its payload, which it does
 * not need.
 */
function hidePacket(raw: RawMqttClient): void {
  const publish = raw.publish.bind(raw);
  raw.publish = (topic, payload, options, done) => publish(topic, payload, options, (error) => done(error));
}
