/**
 * A device that publishes at QoS 1 and a subscriber of its topic, which must notice nothing of what others
 * do.
 */
import { connect, type MqttClient } from 'mqtt';
import type { Clock } from '../../shared/clock.ts';
import { GOOD_DEVICE, type Transport } from './transport.ts';

const TOPIC = 'good/numbers';
const PERIOD_MS = 10;
const WINDOW = 20;
/** Machines are slow at times; a stall that others cause lasts. */
const ACK_MS_MAX = 60_000;
const DRAIN_MS_MAX = 120_000;
/** Longer than a stall of the machine: a client must not give up before the stall is told. */
const KEEPALIVE_SECONDS = 120;

export class GoodPair {
  readonly #clock: Clock;
  readonly #clients: MqttClient[];
  readonly #sentMs = new Map<number, number>();
  readonly #delivered = new Set<number>();
  readonly #acked: number[] = [];
  readonly #onProblem: (problem: string) => void;
  #number = 0;
  #last = 0;
  #isOver: boolean = false;
  ackMsMax = 0;

  private constructor(transport: Transport, clock: Clock, onProblem: (problem: string) => void) {
    this.#clock = clock;
    this.#onProblem = onProblem;
    this.#clients = [`${GOOD_DEVICE}/subscriber`, `${GOOD_DEVICE}/publisher`].map((clientId) => {
      const options = {
        clientId,
        reconnectPeriod: 0,
        protocolVersion: 4,
        keepalive: KEEPALIVE_SECONDS,
      } as const;
      const client = connect(transport.url, { ...transport.options, ...options });
      client.on('close', () => this.#isOver || onProblem(`${clientId} lost its connection`));
      client.on('error', (error) => onProblem(`${clientId}: ${error.message}`));
      return client;
    });
  }

  /** Both connected and the topic subscribed. */
  static async open(
    transport: Transport,
    clock: Clock,
    onProblem: (problem: string) => void,
  ): Promise<GoodPair> {
    const pair = new GoodPair(transport, clock, onProblem);
    const [subscriber] = pair.#clients;
    subscriber?.on('message', (_topic, payload) => pair.#arrived(Number(payload.toString())));
    await subscriber?.subscribeAsync(TOPIC, { qos: 1 });
    return pair;
  }

  get acked(): number {
    return this.#acked.length;
  }

  /** Acknowledged, and never delivered. */
  get lost(): number {
    return this.#acked.filter((number) => !this.#delivered.has(number)).length;
  }

  /** Publishes at a steady rate until `signal` aborts, then waits for what is under way. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#sentMs.size < WINDOW) this.#publish();
      await this.#clock.sleep(PERIOD_MS, signal);
      this.#checkStall();
    }
    const endsMs = this.#clock.monoMs() + DRAIN_MS_MAX;
    while ((this.#sentMs.size > 0 || this.lost > 0) && this.#clock.monoMs() < endsMs)
      await this.#clock.sleep(PERIOD_MS);
    if (this.#sentMs.size > 0) this.#onProblem(`${this.#sentMs.size} good publishes were never acknowledged`);
    if (this.lost > 0) this.#onProblem(`${this.lost} good publishes were acknowledged and not delivered`);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients.map((client) => client.endAsync(true)));
  }

  #publish(): void {
    const number = ++this.#number;
    this.#sentMs.set(number, this.#clock.monoMs());
    this.#clients[1]?.publish(TOPIC, String(number), { qos: 1 }, (error) => {
      if (error) return; // The connection is lost: 'close' says so.
      this.ackMsMax = Math.max(this.ackMsMax, this.#ageMs(number));
      this.#sentMs.delete(number);
      this.#acked.push(number);
    });
  }

  #checkStall(): void {
    const [oldest] = this.#sentMs.keys();
    if (oldest !== undefined && this.#ageMs(oldest) > ACK_MS_MAX)
      this.#onProblem(`a good publish is not acknowledged after ${ACK_MS_MAX} ms`);
  }

  #ageMs(number: number): number {
    return this.#clock.monoMs() - (this.#sentMs.get(number) ?? Number.NaN);
  }

  #arrived(number: number): void {
    if (number !== this.#last + 1) this.#onProblem(`good publish ${number} came after ${this.#last}`);
    this.#last = number;
    this.#delivered.add(number);
  }
}
