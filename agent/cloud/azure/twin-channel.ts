/**
 * The twin of the device that a connection belongs to, as far as a reader needs it (Azure docs, "Communicate with an IoT hub using the
 * MQTT protocol", "Retrieving a device twin's properties" and "Receiving desired properties update notifications").
 *
 * It speaks over the SDK's connection and past its twin, which does not look at the status of an answer, throws out of the socket's event
 * where an answer has no body, and has no time-out. So the messages of these topics are taken before the SDK sees them.
 */
import { aborted } from '../../../shared/aborted.ts';
import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import type { RawMqttClient } from './sdk.ts';

const RESPONSES = '$iothub/twin/res/';
const UPDATES = '$iothub/twin/PATCH/properties/desired/';
const READ_MS = 10_000;

export type TwinRead =
  | { kind: 'read'; desired: unknown }
  /** `connectionLost`: by whatever ended it. A hub without twins ends it at once. */
  | { kind: 'failed'; problem: string; connectionLost: boolean };

export interface TwinChannelOptions {
  raw: RawMqttClient;
  /** Resolves with the reason when the connection is over. */
  over: Promise<string>;
  clock: Clock;
}

export class TwinChannel {
  readonly #raw: RawMqttClient;
  readonly #over: Promise<TwinRead>;
  readonly #clock: Clock;
  #isOver: boolean = false;
  #requests = 0;
  /** Of the request under way. */
  #answer: { id: string; settle: (read: TwinRead) => void } | null = null;
  /** Nobody asked for it yet. Of several the last one counts. */
  #update: { desired: unknown } | null = null;
  #wake: () => void = () => undefined;

  constructor({ raw, over, clock }: TwinChannelOptions) {
    this.#raw = raw;
    this.#clock = clock;
    this.#over = over.then((detail) => {
      this.#isOver = true;
      this.#wake();
      return failed(`the connection ended: ${detail}`, true);
    });
    this.#divert();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Subscribes to updates, then reads the desired properties: no update falls in between. Settles in ten seconds, or when `signal` aborts. */
  async read(signal: AbortSignal): Promise<TwinRead> {
    const late = Promise.withResolvers<TwinRead>();
    const timer = this.#clock.setTimer(READ_MS, () =>
      late.resolve(failed(`no answer in ${READ_MS} ms`, false)),
    );
    try {
      const stopped = aborted(signal).then(() => failed('stopped', false));
      return await Promise.race([this.#request(), this.#over, late.promise, stopped]);
    } catch (error) {
      return failed(errorText(error), this.#isOver);
    } finally {
      timer.cancel();
      this.#answer = null;
    }
  }

  /** The desired properties that the newest update sets, also one that came before; null when the connection or `signal` ended first. */
  async next(signal: AbortSignal): Promise<{ desired: unknown } | null> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (this.#update === null && !this.#isOver) await Promise.race([woken.promise, aborted(signal)]);
    const update = this.#update;
    this.#update = null;
    return update;
  }

  async #request(): Promise<TwinRead> {
    await this.#subscribe(`${RESPONSES}#`);
    await this.#subscribe(`${UPDATES}#`);
    const { promise, resolve, reject } = Promise.withResolvers<TwinRead>();
    this.#requests += 1;
    const id = `hg${this.#requests}`;
    this.#answer = { id, settle: resolve };
    this.#raw.publish(`$iothub/twin/GET/?$rid=${id}`, '', { qos: 0 }, (error) => {
      if (error) reject(error);
    });
    return promise;
  }

  #subscribe(filter: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#raw.subscribe(filter, { qos: 0 }, (error, granted) => {
        if (error) reject(error);
        // MQTT 3.1.1, 3.9.3: 0x80 is a refusal.
        else if (granted?.some(({ qos }) => qos > 2)) reject(new Error('the hub refuses the twin’s topics'));
        else resolve();
      });
    });
  }

  #divert(): void {
    const emit = this.#raw.emit.bind(this.#raw);
    this.#raw.emit = (event, ...values) => {
      const [topic, payload] = values;
      if (event !== 'message' || typeof topic !== 'string' || !topic.startsWith('$iothub/twin/'))
        return emit(event, ...values);
      if (payload instanceof Uint8Array) this.#take(topic, Buffer.from(payload).toString());
      return true;
    };
  }

  #take(topic: string, text: string): void {
    if (topic.startsWith(UPDATES)) {
      this.#update = { desired: jsonOf(text) };
      this.#wake();
      return;
    }
    const [, status, id] = /^\$iothub\/twin\/res\/(\d+)\/\?\$rid=([^&]*)/.exec(topic) ?? [];
    if (this.#answer === null || this.#answer.id !== id) return;
    if (status !== '200') {
      this.#answer.settle(failed(`the hub answers ${status} to a read of the twin`, false));
      return;
    }
    this.#answer.settle({ kind: 'read', desired: Reflect.get(Object(jsonOf(text)), 'desired') });
  }
}

function failed(problem: string, connectionLost: boolean): TwinRead {
  return { kind: 'failed', problem, connectionLost };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not JSON: it says nothing of a receipt.
  }
}
