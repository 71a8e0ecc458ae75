/**
 * The receipt in the device's twin over one connection (Azure docs, "Communicate with an IoT hub using the
 * MQTT protocol", "Retrieving a device twin's properties" and "Receiving desired properties update
 * notifications").
 *
 * The channel uses the SDK's connection and bypasses its twin client, which ignores the status of an answer,
 * throws in the socket's event handler when an answer has no body, and has no time-out. So messages on these
 * topics are taken before the SDK sees them.
 */

import type { Clock } from '../../../shared/clock.ts';
import { errorText } from '../../../shared/log.ts';
import { orAborted } from '../../../shared/or-aborted.ts';
import { receiptInTwin, receiptInUpdate, TWIN_BYTES_MAX } from '../../../shared/twin-receipt.ts';
import type { Twin, TwinRead } from '../twin-link.ts';
import type { RawMqttClient } from './sdk.ts';

const RESPONSES = '$iothub/twin/res/';
const UPDATES = '$iothub/twin/PATCH/properties/desired/';
const READ_MS = 10_000;

export interface TwinChannelOptions {
  raw: RawMqttClient;
  /** Resolves with the reason when the connection has ended. */
  over: Promise<string>;
  clock: Clock;
  /**
   * Told the payload bytes that the hub bills as messages: a twin that is read, and each update notification,
   * also of foreign properties ("Azure IoT Hub billing information").
   */
  metered: (bytes: number) => void;
}

/** The hub's refusal, over a connection that stays open. */
class TwinRefused extends Error {}

export class TwinChannel implements Twin {
  readonly #raw: RawMqttClient;
  readonly #clock: Clock;
  readonly #metered: (bytes: number) => void;
  #isOver: boolean = false;
  #requests = 0;
  /** Settles the read under way, if any. */
  #settle: (read: TwinRead) => void = () => undefined;
  /** The newest update that no caller has taken yet. */
  #update: string | null = null;
  #wake: () => void = () => undefined;

  constructor({ raw, over, clock, metered }: TwinChannelOptions) {
    this.#raw = raw;
    this.#clock = clock;
    this.#metered = metered;
    void over.then((detail) => {
      this.#isOver = true;
      this.#settle(failed(detail, true));
      this.#wake();
    });
    this.#divert();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Subscribes to updates, then reads, so that no update is missed in between. Settles in ten seconds, or
   * when `signal` aborts.
   */
  async read(signal: AbortSignal): Promise<TwinRead> {
    const { promise, resolve } = Promise.withResolvers<TwinRead>();
    this.#settle = resolve;
    const timer = this.#clock.setTimer(READ_MS, () => resolve(failed(`no answer in ${READ_MS} ms`, false)));
    const stop = (): void => resolve(failed('stopped', false));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    void this.#request().catch((error: unknown) =>
      // MQTT.js reports errors here only for a lost connection.
      resolve(failed(errorText(error), !(error instanceof TwinRefused))),
    );
    const read = await promise;
    timer.cancel();
    signal.removeEventListener('abort', stop);
    return read;
  }

  /**
   * The newest update, which may have come before the call; null when the connection or `signal` ended first.
   */
  async next(signal: AbortSignal): Promise<string | null> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (this.#update === null && !this.#isOver) await orAborted(woken.promise, signal);
    const update = this.#update;
    this.#update = null;
    return update;
  }

  async #request(): Promise<void> {
    await this.#subscribe(`${RESPONSES}#`);
    await this.#subscribe(`${UPDATES}#`);
    this.#requests += 1;
    const topic = `$iothub/twin/GET/?$rid=${this.#requests}`;
    await new Promise<void>((resolve, reject) => {
      this.#raw.publish(topic, '', { qos: 0 }, (error) => (error ? reject(error) : resolve()));
    });
  }

  #subscribe(filter: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#raw.subscribe(filter, { qos: 0 }, (error, granted) => {
        if (error) reject(error);
        // MQTT 3.1.1, 3.9.3: 0x80 is a refusal.
        else if (granted?.some(({ qos }) => qos > 2))
          reject(new TwinRefused('the hub refuses the twin’s topics'));
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
      if (payload instanceof Uint8Array) this.#take(topic, payload);
      return true;
    };
  }

  #take(topic: string, payload: Uint8Array): void {
    if (topic.startsWith(UPDATES)) {
      this.#metered(payload.byteLength);
      const said = receiptInUpdate(payload);
      // Other programs may keep their own properties in the twin.
      if (said === null) return;
      this.#update = said;
      this.#wake();
      return;
    }
    const [, status, id] = /^\$iothub\/twin\/res\/(\d+)\/\?\$rid=(\d+)/.exec(topic) ?? [];
    if (status === '200') this.#metered(payload.byteLength);
    if (id !== String(this.#requests)) return;
    const problem = problemOf(status, payload.byteLength);
    this.#settle(problem === null ? { kind: 'read', text: receiptInTwin(payload) } : failed(problem, false));
  }
}

function failed(problem: string, connectionLost: boolean): TwinRead {
  return { kind: 'failed', problem, connectionLost };
}

function problemOf(status: string | undefined, bytes: number): string | null {
  if (status !== '200') return `the hub answers ${status} to a read of the twin`;
  return bytes > TWIN_BYTES_MAX ? `the hub answers with a twin of ${bytes} bytes` : null;
}
