/**
 * Receipts through a Pub/Sub topic: one message each. The gateway is an attribute, by which each gateway's
 * subscription is filtered.
 */
import type { Topic } from '@google-cloud/pubsub';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { gcpAccess } from '../../shared/gcp/access-options.ts';
import { openPubSub } from '../../shared/gcp/client.ts';
import { errorText } from '../../shared/log.ts';
import { orAborted } from '../../shared/or-aborted.ts';
import { RECEIPT_BYTES_MAX } from '../../shared/receipt.ts';
import { within } from '../../shared/within.ts';
import type { Carriage, Carried, Carrier } from './carrier.ts';

/** A `receipts.through[]` entry of type `gcp`, without the options of all types. */
export const topicOptions = z.strictObject({
  ...gcpAccess,
  topic: z.string().min(1).default('headgate-receipts').describe('The id of the topic.'),
});

export type TopicOptions = z.output<typeof topicOptions>;

const SEND_MS = 10_000;
const CLOSE_MS = 1000;
/**
 * google.rpc.Code. The first concerns this message; the others the login, whose files may be renewed. All
 * other codes concern the topic or the connection.
 */
const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;
const STOPPING: Carried = { kind: 'failed', problem: 'the router is stopping' };
const LATE: Carried = { kind: 'failed', problem: `no answer in ${SEND_MS} ms` };

interface Connection {
  topic: Topic;
  close(): Promise<void>;
}

export class TopicCarrier implements Carrier {
  readonly bytesMax = RECEIPT_BYTES_MAX;
  readonly #options: TopicOptions;
  readonly #clock: Clock;
  #connection: Promise<Connection> | null = null;

  /** Connects with the first receipt. */
  constructor(options: TopicOptions, { clock }: { clock: Clock }) {
    this.#options = options;
    this.#clock = clock;
  }

  async send(carriage: Carriage, signal: AbortSignal): Promise<Carried> {
    let carried: Carried = STOPPING;
    const publishing = this.#publish(carriage).then((end) => {
      carried = end;
    });
    return within(this.#clock, SEND_MS, orAborted(publishing, signal), () => true).then((isLate) => {
      if (isLate !== true) return carried;
      // Its credentials or its connection may hang for ever: the next receipt begins anew.
      void this.close();
      return LATE;
    });
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    // One that failed to open needs no closing, and one that is opening is closed when it is open. The SDK
    // says again here what became of publishes: their senders were told.
    const closing = connection?.then((open) => open.close()).catch(() => undefined);
    await within(this.#clock, CLOSE_MS, Promise.resolve(closing), () => undefined);
  }

  async #publish({ gateway, text }: Carriage): Promise<Carried> {
    try {
      this.#connection ??= connect(this.#options, this.#clock);
      const { topic } = await this.#connection;
      const data = Buffer.from(text);
      await topic.publishMessage({ data, attributes: { gateway } });
      return { kind: 'sent' };
    } catch (error) {
      const problem = errorText(error);
      const code = Reflect.get(Object(error), 'code');
      if (code === INVALID_ARGUMENT) return { kind: 'refused', problem };
      // The connection failed or its credentials were refused: the next one reads the files again.
      if (typeof code !== 'number' || code === PERMISSION_DENIED || code === UNAUTHENTICATED)
        await this.close();
      return { kind: 'failed', problem };
    }
  }
}

async function connect(options: TopicOptions, clock: Clock): Promise<Connection> {
  const { client, close } = await openPubSub(options, clock);
  const topic = client.topic(options.topic, {
    // The pusher limits the pace of receipts; those due together go in one request.
    batching: { maxMilliseconds: 10 },
    // The pusher retries: the SDK would keep retrying receipts that are outdated by then.
    gaxOpts: { timeout: SEND_MS, retry: null },
  });
  return { topic, close };
}
