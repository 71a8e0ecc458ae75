/** One run of the SDK's streaming pull: from its opening to its first fatal error or to its close. */
import {
  Duration,
  type Message,
  PubSub,
  type Subscription,
  SubscriptionCloseBehaviors,
} from '@google-cloud/pubsub';
import { status } from '@grpc/grpc-js';
import type { Clock } from '../../../shared/clock.ts';
import { gcpChannel } from '../../../shared/gcp/connection.ts';
import { type GcpCredentials, withCalls } from '../../../shared/gcp/credentials.ts';
import { SocketHold } from '../../../shared/gcp/socket-hold.ts';
import { MAX_MESSAGES, type PubSubOptions } from './options.ts';

/** Bound on the bytes of messages in hand (I10); one message has at most 10 MB. */
const MAX_BYTES = 64 * 1024 * 1024;
/**
 * HTTP/2 flow-control window: the largest message, with room. The default of 64 KiB costs a large message 160
 * round trips between two event loops; on a busy machine they take longer than its lease, and delay all
 * messages behind it.
 */
const WINDOW_BYTES = 16 * 1024 * 1024;
/** Time to gather acks: a tenth of the SDK's default, because a full window of messages waits for it. */
const ACK_BATCH_MS = 10;
/** The longest delay before the SDK reopens a stream that ended by itself. */
const STREAM_RETRY_MAX_MS = 5000;
/** Limit for the first connect; a slower one is abandoned and tried again. */
const CONNECT_MS = 30_000;

export interface ReaderEvents {
  message(message: Message): void;
  /** The stream ended and the SDK opens another. */
  interrupted(error: unknown): void;
  /** The SDK has given up; called once. */
  failed(error: unknown): void;
}

interface ReaderParts {
  trust: GcpCredentials;
  /** For the messages in hand at the end. */
  settleMs: number;
  clock: Clock;
}

export class PubSubReader {
  readonly #sockets: SocketHold;
  readonly #client: PubSub;
  readonly #subscription: Subscription;

  constructor(options: PubSubOptions, { trust, settleMs, clock }: ReaderParts, events: ReaderEvents) {
    const { client, tunnel } = gcpChannel(options);
    this.#sockets = new SocketHold(trust.channel, { tunnel, clock });
    this.#client = new PubSub({
      projectId: options.project,
      ...client,
      apiEndpoint: `${client.servicePath}:${client.port}`,
      emulatorMode: false,
      sslCreds: withCalls(this.#sockets, trust),
      ...{ 'grpc-node.flow_control_window': WINDOW_BYTES },
    });
    this.#subscription = this.#client.subscription(options.subscription, {
      flowControl: { maxMessages: MAX_MESSAGES, maxBytes: MAX_BYTES },
      batching: { maxMilliseconds: ACK_BATCH_MS },
      streamingOptions: {
        // One stream carries all messages that the bounds allow; five, the default, only multiply connections
        // and bounds.
        maxStreams: 1,
        timeout: CONNECT_MS,
        retryMaxBackoff: Duration.from({ milliseconds: STREAM_RETRY_MAX_MS }),
      },
      closeOptions: {
        behavior: SubscriptionCloseBehaviors.WaitForProcessing,
        timeout: Duration.from({ milliseconds: settleMs }),
      },
    });
    let failed: boolean = false;
    const failOnce = (error: unknown): void => {
      if (failed) return;
      failed = true;
      events.failed(error);
    };
    this.#subscription.on('debug', ({ message, error }) => events.interrupted(error ?? new Error(message)));
    this.#subscription.on('error', failOnce);
    this.#subscription.on('close', () => failOnce(new Error('the subscription was closed')));
    // This listener opens the stream.
    this.#subscription.on('message', (message) => events.message(message));
  }

  get phase(): SocketHold['phase'] {
    return this.#sockets.phase;
  }

  /** The total over all connections. */
  get bytesReceived(): number {
    return this.#sockets.bytesReceived;
  }

  /**
   * Sends a request without effect that needs no permission beyond reading: an acknowledgement of no message.
   * Any response of the service is an answer. Rejects with the gRPC error when the service refuses the reader
   * or cannot be reached; never settles on a silent connection.
   */
  ask(limitMs: number): Promise<void> {
    const question = {
      client: 'SubscriberClient' as const,
      method: 'acknowledge',
      reqOpts: { subscription: this.#subscription.name, ackIds: [] },
      gaxOpts: { timeout: limitMs, retry: null },
    };
    return new Promise((resolve, reject) => {
      this.#client.request<object>(question, (error) => {
        // The vendor's service rejects an empty list of ids as invalid.
        if (!error || error.code === status.INVALID_ARGUMENT) resolve();
        else reject(error);
      });
    });
  }

  /**
   * Takes no more messages, waits at most `settleMs` for those in hand, and returns the rest to the service.
   */
  async close(): Promise<void> {
    await this.#subscription.close();
    await this.#client.close();
  }

  /** Disconnects. */
  cut(): void {
    this.#sockets.cut();
  }
}
