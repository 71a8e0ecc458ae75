/**
 * One connection to a broker, from its CONNECT to its end. It is never reconnected, so mqtt.js cannot send a
 * publish again. The outcome of a publish in flight at its end is unknown: the broker may have accepted it.
 */
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { refusesCertificate } from '../certificates.ts';
import { connectionPhase } from '../connection-phase.ts';
import type { Outcome, Phase, RetryableCause } from '../publisher.ts';
import type { Try } from '../tries.ts';

const CONNECT_CAUSES: readonly [RegExp, RetryableCause][] = [
  [/ECONNREFUSED/, 'connection-refused'],
  [/ENOTFOUND|EAI_AGAIN/, 'dns'],
  [/ECONNRESET|EPIPE|socket disconnected|socket hang up/, 'connection-reset'],
  [/CERT|certificate|SELF_SIGNED|UNABLE_TO_|altname|SSL|TLS/i, 'tls'],
];

/** Most overdue publishes of a connection (I10). */
const MAX_OVERDUE = 32;

const NOT_SENT: Outcome = {
  kind: 'retryable',
  cause: 'not-connected',
  detail: 'the connection ended before the publish',
};

export class Session {
  readonly startedAtMs: number;
  /** Null once connected, else the outcome of the failure. Never rejects. */
  readonly ready: Promise<Outcome | null>;
  readonly #client: MqttClient;
  readonly #phase: () => Phase;
  /** Publishes in flight, by the function that ends each. */
  readonly #tries = new Set<(outcome: Outcome) => void>();
  #packetsReceived = 0;
  /** Publishes past their deadline without a PUBACK: mqtt.js keeps each until its PUBACK. */
  #overdue = 0;
  readonly #keepAliveMs: number;
  #isRetired: boolean = false;
  #loss: Outcome | null = null;
  #ended: boolean = false;

  constructor(options: IClientOptions & { keepalive: number }, clock: Clock) {
    this.startedAtMs = clock.monoMs();
    this.#keepAliveMs = options.keepalive * 1000;
    this.#client = connect({ ...options });
    this.#phase = connectionPhase(this.#client.stream, options.host ?? '');
    this.#client.on('packetreceive', () => {
      this.#packetsReceived += 1;
    });
    this.ready = new Promise((resolve) => {
      let failure: Outcome = {
        kind: 'retryable',
        cause: 'connection-reset',
        detail: 'the connection ended before CONNACK',
      };
      this.#client.on('error', (error) => {
        failure = connectOutcome(error);
      });
      this.#client.once('connect', () => resolve(null));
      this.#client.once('close', () => {
        resolve(failure);
        this.end('the connection was lost');
      });
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Whether it is for tries of this duration. A packet that takes longer than the keep alive would end the
   * connection: the client's own request for a sign of life waits behind it.
   */
  isFor(durationMs: number): boolean {
    return !this.#ended && !this.#isRetired && durationMs <= this.#keepAliveMs;
  }

  /** Takes no new publish, and ends with the last one in flight. */
  retire(): void {
    this.#isRetired = true;
    if (this.#tries.size === 0) this.end('retired');
  }

  /** Packets received: tells a slow broker from a silent one. */
  get packetsReceived(): number {
    return this.#packetsReceived;
  }

  /** How far the connection has come. */
  get phase(): Phase {
    return this.#phase();
  }

  /**
   * Call after {@link ready}. The PUBACK is the acceptance. Settles at the PUBACK or at the end of the
   * connection; never when the try ends before.
   */
  publish(topic: string, bytes: Uint8Array, one: Try): Promise<Outcome> {
    if (this.#ended) return Promise.resolve(NOT_SENT);
    if (!one.leaves(false)) return one.over;
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        if (this.#tries.delete(settle)) {
          one.signal.removeEventListener('abort', miss);
          resolve(outcome);
          if (this.#isRetired) this.retire();
        } else {
          this.#overdue -= 1;
        }
      };
      const miss = (): void => {
        if (!this.#tries.delete(settle)) return;
        this.#overdue += 1;
        if (this.#overdue >= MAX_OVERDUE) this.end('too many publishes stayed without a PUBACK');
        else if (this.#isRetired) this.retire();
      };
      this.#tries.add(settle);
      one.signal.addEventListener('abort', miss, { once: true });
      const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#client.publish(topic, payload, { qos: 1 }, (error) =>
        settle(error ? this.#lost(errorText(error)) : { kind: 'accepted' }),
      );
    });
  }

  /** Cuts the connection. Publishes in flight settle as unknown. */
  end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const outcome = this.#lost(why);
    this.#client.end(true);
    for (const settle of this.#tries) settle(outcome);
  }

  /** One value for all publishes in flight: one loss. */
  #lost(detail: string): Outcome {
    this.#loss ??= { kind: 'unknown', cause: 'connection-lost', detail };
    return this.#loss;
  }
}

/** From a CONNACK's return code (MQTT 3.1.1, 3.2.2.3) or the socket's error. */
function connectOutcome(error: Error): Outcome {
  const code = 'code' in error ? error.code : null;
  const detail = errorText(error);
  switch (code) {
    case 1:
    case 2:
      return { kind: 'rejected', scope: 'provider', cause: 'invalid', detail };
    case 3:
      return { kind: 'retryable', cause: 'unavailable', detail };
    case 4:
    case 5:
      return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
    default: {
      if (typeof code === 'string' && refusesCertificate(code)) {
        return { kind: 'rejected', scope: 'provider', cause: 'unauthorized', detail };
      }
      const words = `${typeof code === 'string' ? code : ''} ${detail}`;
      const cause = CONNECT_CAUSES.find(([pattern]) => pattern.test(words))?.[1] ?? 'not-connected';
      return { kind: 'retryable', cause, detail };
    }
  }
}
