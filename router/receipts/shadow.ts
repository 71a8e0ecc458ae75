/** Receipts through AWS: the desired state of a named shadow, where the newest replaces the one before. */
import { z } from 'zod';
import { sdkFailure } from '../../shared/aws.ts';
import { awsShadow, openShadows, type ShadowConnection } from '../../shared/aws-shadow.ts';
import type { Clock } from '../../shared/clock.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import type { Carriage, Carried, Carrier } from './carrier.ts';

/** A `receipts.through[]` entry of type `aws`, without the options of all types. */
export const shadowOptions = z.strictObject(awsShadow);

export type ShadowOptions = z.output<typeof shadowOptions>;

/** The state document may have 8 KB ("AWS IoT Device Shadow service limits and quotas"). */
const RECEIPT_BYTES_MAX = 8000;
const SEND_MS = 10_000;
const SOCKETS_MAX = 16;
/** Refusals of this gateway's receipt: invalid request, no such thing, document too large. */
const REFUSED = new Set([400, 404, 413]);

export class ShadowCarrier implements Carrier {
  readonly bytesMax = RECEIPT_BYTES_MAX;
  readonly #options: ShadowOptions;
  readonly #clock: Clock;
  #connection: Promise<ShadowConnection> | null = null;

  /** Connects with the first receipt. */
  constructor(options: ShadowOptions, { clock }: { clock: Clock }) {
    this.#options = options;
    this.#clock = clock;
  }

  async send(carriage: Carriage, signal: AbortSignal): Promise<Carried> {
    const limit = timeLimit(this.#clock, SEND_MS, signal);
    try {
      await this.#update(carriage, limit.signal);
      return { kind: 'sent' };
    } catch (error) {
      const { status, text } = sdkFailure(error);
      // The SDK's sockets can get stuck after days (aws-sdk-js-v3#7835): a new client helps.
      if (limit.isOver) await this.close();
      return { kind: status !== null && REFUSED.has(status) ? 'refused' : 'failed', problem: text };
    } finally {
      limit.end();
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    // A connection that failed to open needs no closing.
    await connection?.then(
      ({ client }) => client.destroy(),
      () => undefined,
    );
  }

  async #update({ gateway, text }: Carriage, abortSignal: AbortSignal): Promise<void> {
    this.#connection ??= openShadows(this.#options, SOCKETS_MAX, this.#clock);
    let connection: ShadowConnection;
    try {
      connection = await this.#connection;
    } catch (error) {
      this.#connection = null;
      throw error;
    }
    const { sdk, client } = connection;
    const command = new sdk.UpdateThingShadowCommand({
      thingName: gateway,
      shadowName: this.#options.shadow,
      payload: Buffer.from(`{"state":{"desired":${text}}}`),
    });
    await client.send(command, { abortSignal });
  }
}
