/**
 * One device that publishes readings at a steady rate, QoS 1, and remembers the times: the order gives the
 * seqs of its records.
 */
import { connectAsync, type MqttClient } from 'mqtt';
import { seededEntropy } from '../../shared/entropy.ts';
import { readingOf } from './readings.ts';

const TICK_MS = 5;

export class Traffic {
  readonly #client: MqttClient;
  readonly #perSecond: number;
  readonly #entropy = seededEntropy(11);
  readonly #publishedMs: number[] = [];
  readonly #pubacks = new Set<Promise<unknown>>();
  #firstSeq = 1;
  #timer: NodeJS.Timeout | null = null;

  static async connect(port: number, perSecond: number): Promise<Traffic> {
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: 'pump', reconnectPeriod: 0 });
    return new Traffic(client, perSecond);
  }

  private constructor(client: MqttClient, perSecond: number) {
    this.#client = client;
    this.#perSecond = perSecond;
  }

  /** `firstSeq`: the seq of the next record, when other devices have published to the stream too. */
  start(firstSeq: number): void {
    this.#firstSeq = firstSeq;
    this.#publishedMs.length = 0;
    const startMs = performance.now();
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) * this.#perSecond) / 1000);
      while (this.#publishedMs.length < due) this.#publish();
    }, TICK_MS);
  }

  /** Resolves when the last publish is acknowledged, and so durable. */
  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await Promise.all(this.#pubacks);
  }

  end(): Promise<void> {
    return this.#client.endAsync(true);
  }

  /** The seqs of this run so far. */
  get seqs(): { first: number; last: number } {
    return { first: this.#firstSeq, last: this.#firstSeq + this.#publishedMs.length - 1 };
  }

  /** Wall-clock milliseconds of the publish, which precedes the commit. */
  publishedMs(seq: number): number {
    return this.#publishedMs[seq - this.#firstSeq] ?? Number.NaN;
  }

  #publish(): void {
    this.#publishedMs.push(Date.now());
    const seq = this.seqs.last;
    const { topic, payload } = readingOf(seq, seq * 5, this.#entropy);
    const puback: Promise<unknown> = this.#client
      .publishAsync(topic, Buffer.from(payload), { qos: 1 })
      .finally(() => this.#pubacks.delete(puback));
    this.#pubacks.add(puback);
  }
}
