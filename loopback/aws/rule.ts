/** The IoT rule between the gateways' topics and the router's queue. */
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Fault } from '../faults.ts';

export interface PublishedMessage {
  topic: string;
  payload: Buffer;
  /** In the order of sending; a key may occur twice (MQTT 5, 3.3.2.3.7). */
  userProperties: [key: string, value: string][];
}

/** How long `reorder` holds messages before it delivers them shuffled. */
const REORDER_WINDOW_MS = 300;

/**
 * The body of the queue's message, as the rule writes it. The rule's SQL (SQL version 2016-03-23, one SQS
 * action with `useBase64: false`):
 *
 *     SELECT encode(*, 'base64') AS data, topic() AS topic, timestamp() AS ts, clientid() AS client,
 *       get_user_properties('gw') AS gw, get_user_properties('why') AS why FROM 'headgate/#'
 *
 * `encode(*, 'base64')` accepts binary payloads (AWS IoT Core developer guide, "Working with binary
 * payloads"). The SQS action sends only the body, as text: fields outside of the SELECT are lost. A user
 * property may occur more than once, so it is an array.
 */
function ruleOutput(message: PublishedMessage, nowMs: number): string {
  const valuesOf = (name: string): string[] =>
    message.userProperties.filter(([key]) => key === name).map(([, value]) => value);
  const gateways = valuesOf('gw');
  const reasons = valuesOf('why');
  return JSON.stringify({
    data: message.payload.toString('base64'),
    topic: message.topic,
    ts: nowMs,
    // Published over HTTPS (AWS IoT Core developer guide, "clientid()").
    client: 'n/a',
    ...(gateways.length > 0 && { gw: gateways }),
    ...(reasons.length > 0 && { why: reasons }),
  });
}

export class TopicRule {
  readonly #send: (body: string) => void;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #held: string[] = [];
  /** Held by `late`, in the order of arrival. */
  #late: string[] = [];
  #release: Timer | null = null;

  constructor(options: { send: (body: string) => void; clock: Clock; entropy: Entropy }) {
    this.#send = options.send;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
  }

  /**
   * Runs the rule on a published message, with the delivery faults `duplicate`, `reorder`, `late` and
   * `drop-after-ack`.
   */
  run(message: PublishedMessage, fault: Fault | null): void {
    if (!message.topic.startsWith('headgate/') || fault?.name === 'drop-after-ack') return;
    const lateMs = fault?.name === 'late' ? fault.latencyMs : 0;
    const body = ruleOutput(message, this.#clock.wallMs() - lateMs);
    if (fault?.name === 'late') {
      this.#late.push(body);
      return;
    }
    if (fault?.name === 'reorder') {
      this.#held.push(body);
      this.#release ??= this.#clock.setTimer(REORDER_WINDOW_MS, () => this.flush());
      return;
    }
    this.#send(body);
    if (fault?.name === 'duplicate') this.#send(body);
  }

  /** Delivers the messages held by `late`. */
  releaseLate(): void {
    const late = this.#late;
    this.#late = [];
    for (const body of late) this.#send(body);
  }

  /** Delivers the messages held by `reorder`, shuffled. */
  flush(): void {
    this.#release?.cancel();
    this.#release = null;
    for (let left = this.#held.length; left > 0; left -= 1) {
      const [body] = this.#held.splice(Math.floor(this.#entropy.float() * left), 1);
      if (body !== undefined) this.#send(body);
    }
  }
}
