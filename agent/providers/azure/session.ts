/**
 * One connection to the hub, from CONNECT to its end, through the vendor's SDK. It is never mended: whatever
 * ends it, the next connection is a new session with a new SDK client, because the SDK's own reconnect holds
 * messages back without a bound, and its `close()` waits for ever when a publish is not acknowledged.
 *
 * The seam is the SDK's MQTT library: we hand it a `connect` of our own, which sets the time-out (the SDK's
 * is fixed at 60 s), hears errors with their codes, and keeps the raw stream. Destroying that stream first is
 * what makes every other call of the SDK come back.
 */
import type { TransportConfig } from 'azure-iot-common';
import type { Client } from 'azure-iot-device';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { connectionPhase } from '../connection-phase.ts';
import type { Cut, OutboundEnvelope, Outcome, Phase } from '../publisher.ts';
import { type ConnectFailure, connectFailure, lost, notConnected } from './outcome.ts';
import type { AzureSdk, RawMqttClient } from './sdk.ts';
import { TwinChannel } from './twin-channel.ts';

/** TCP, TLS and CONNACK together. */
const CONNECT_TIMEOUT_MS = 5000;
const KEEPALIVE_SECONDS = 30;
/**
 * Longer than any session lives: the SDK's own renewal, which cuts the connection under its publishes, never
 * comes.
 */
const TOKEN_LIFETIME_SECONDS = 3600;
const TOKEN_MARGIN_SECONDS = 60;
/** An acknowledgement that took so long is late, on any path that is worth using. */
const LATE_MS = 1000;
const MAX_OVERDUE = 32;
/** A cut is put down to an acknowledgement no longer ago. */
const CUT_AFTER_LATE_MS = 2000;

export interface SessionOptions {
  sdk: AzureSdk;
  device: TransportConfig;
  /** PEM of the CA to trust instead of the system's. */
  ca: string | null;
  /** How long until the session retires, for its token to be renewed; null when it has none. */
  lifetimeMs: number | null;
  clock: Clock;
  /** Called once when it is over, whatever ended it. */
  onEnd: (detail: string) => void;
  /** The hub ended it, in a way that may be its silent word for a limit. */
  onCut: (cut: Cut) => void;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #client: Client;
  readonly #stopTokens: () => void;
  readonly #inFlight = new Set<(outcome: Outcome) => void>();
  #raw: RawMqttClient | null = null;
  #phase: () => Phase = () => 'connect';
  /** The last error of the MQTT client underneath. */
  #heard: Error | null = null;
  /** Resolves with the reason when the session is over. */
  readonly #over = Promise.withResolvers<string>();
  #ended: boolean = false;
  /** Publishes that were not acknowledged in time, ever. */
  #overdue = 0;
  #retiring: Promise<void> | null = null;
  #onDrained: (() => void) | null = null;
  #retirement: Timer | null = null;
  /** When the last PUBACK came, and whether it was late; null before the first. */
  #acked: { atMs: number; isLate: boolean } | null = null;

  constructor(options: SessionOptions) {
    const { sdk, device } = options;
    this.#options = options;
    const base = new sdk.MqttBase({
      connect: (uri: string, settings: object) => this.#connectRaw(uri, settings),
    });
    if (device.x509) {
      this.#client = new sdk.Client(new sdk.Mqtt(new sdk.X509Authentication(device), base));
      this.#stopTokens = () => undefined;
    } else if (device.sharedAccessSignature) {
      this.#client = new sdk.Client(new sdk.Mqtt(new sdk.TokenAuthentication(device), base));
      this.#stopTokens = () => undefined;
    } else {
      const tokens = new sdk.KeyAuthentication(device, TOKEN_LIFETIME_SECONDS, TOKEN_MARGIN_SECONDS);
      this.#client = new sdk.Client(new sdk.Mqtt(tokens, base));
      this.#stopTokens = () => tokens.stop();
    }
    this.#client.setRetryPolicy(new sdk.NoRetry());
  }

  /**
   * Connects; null when it is up. Settles within the connect time-out, also when `end` is called meanwhile.
   */
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

  /**
   * One publish on the open connection. Settles when the PUBACK comes or the session ends, whichever is
   * first.
   */
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
        settle(error ? lost(errorText(error)) : { kind: 'accepted' });
      });
    });
  }

  /**
   * The way to the device's twin over this connection: once, when it is open; null when it is over already.
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

  get retiring(): Promise<void> | null {
    return this.#retiring;
  }

  /**
   * Ends once every publish in flight has its answer; nothing new may be sent on it. Resolves when it has
   * ended.
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
   * A publish sent at `sentMs` was not answered in time. The connection is taken for dead when nothing else
   * was acknowledged since, because the SDK would believe in it until its keepalive fails; and when too many
   * have stayed unanswered, because the SDK keeps each (I10).
   */
  doubt(sentMs: number): void {
    this.#overdue += 1;
    const isAlive = this.#acked !== null && this.#acked.atMs >= sentMs;
    if (isAlive && this.#overdue < MAX_OVERDUE) return;
    const detail = 'no acknowledgement within the deadline';
    this.end(detail, { kind: 'unknown', cause: 'deadline', detail });
  }

  /** Idempotent and immediate. What is in flight may have arrived: it settles as unknown. */
  end(detail: string, outcome: Outcome = lost(detail)): void {
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

  #connectRaw(uri: string, settings: object): RawMqttClient {
    const raw = this.#options.sdk.mqtt.connect(uri, { ...settings, connectTimeout: 2 * CONNECT_TIMEOUT_MS });
    this.#raw = raw;
    this.#phase = connectionPhase(raw.stream, new URL(uri).hostname);
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
      // A page of a proxy can look like a packet; no server speaks before its CONNACK (MQTT 3.1.1, 3.2).
      if (cmd !== 'connack') this.#heard = new Error(`the answer is not MQTT: ${cmd} before connack`);
    });
    if (this.#ended) raw.stream.destroy();
    return raw;
  }

  /** What it would say that the hub ends the connection now; null: nothing. */
  #cut(): Cut | null {
    if (this.#acked === null) return this.#inFlight.size > 0 ? 'unanswered' : null;
    const sinceMs = this.#options.clock.monoMs() - this.#acked.atMs;
    return this.#acked.isLate && sinceMs <= CUT_AFTER_LATE_MS ? 'late' : null;
  }

  #message(envelope: OutboundEnvelope): InstanceType<AzureSdk['Message']> {
    const { buffer, byteOffset, byteLength } = envelope.bytes;
    const body = Buffer.from(buffer, byteOffset, byteLength);
    // The SDK writes every message as JSON for a debug line that is off; byte by byte, that costs more than
    // all the rest.
    Object.defineProperty(body, 'toJSON', { value: () => null });
    const message = new this.#options.sdk.Message(body);
    for (const [key, value] of Object.entries(envelope.properties)) {
      if (value !== undefined) message.properties.add(key, value);
    }
    return message;
  }
}

/**
 * The SDK writes what a publish resolves to as JSON as well: the whole packet, with its payload. It needs
 * none of it.
 */
function hidePacket(raw: RawMqttClient): void {
  const publish = raw.publish.bind(raw);
  raw.publish = (topic, payload, options, done) => publish(topic, payload, options, (error) => done(error));
}
