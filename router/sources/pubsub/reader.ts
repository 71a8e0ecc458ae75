/** One life of the SDK's streaming pull: from opening to its first fatal error, or to the end we ask for. */
import {
  Duration,
  type Message,
  PubSub,
  type Subscription,
  SubscriptionCloseBehaviors,
} from '@google-cloud/pubsub';
import { status } from '@grpc/grpc-js';
import { GRPC_OPTIONS, gcpAddress } from '../../../shared/gcp/connection.ts';
import { type GcpCredentials, withCalls } from '../../../shared/gcp/credentials.ts';
import { SocketHold } from '../../../shared/gcp/socket-hold.ts';
import type { PubSubOptions } from './options.ts';

/** What may be in hand at a time (I10): messages, and bytes, of which one message is at most 10 MB. */
const MAX_MESSAGES = 256;
const MAX_BYTES = 64 * 1024 * 1024;
/**
 * What the service may send ahead of our reading: the largest message, with room. HTTP/2's default of 64 KiB
 * costs such a message 160 round trips between two event loops; on a busy machine that takes longer than its
 * lease, and holds up all messages behind it.
 */
const WINDOW_BYTES = 16 * 1024 * 1024;
/**
 * Acks are gathered for this long; a tenth of the SDK's default, since a full hand of messages waits for it.
 */
const ACK_BATCH_MS = 10;
/** The SDK reopens a stream that ended by itself, this late at most. */
const STREAM_RETRY_MAX_MS = 5000;
/** A first connect that takes longer is given up, and tried again from the start. */
const CONNECT_MS = 30_000;

export interface ReaderEvents {
  message(message: Message): void;
  /** The stream ended and the SDK opens another. */
  interrupted(error: unknown): void;
  /** The SDK has given up; called once. */
  failed(error: unknown): void;
}

export class PubSubReader {
  readonly #sockets: SocketHold;
  readonly #client: PubSub;
  readonly #subscription: Subscription;

  constructor(options: PubSubOptions, trust: GcpCredentials, settleMs: number, events: ReaderEvents) {
    this.#sockets = new SocketHold(trust.channel);
    const { servicePath, port, universeDomain } = gcpAddress(options);
    this.#client = new PubSub({
      projectId: options.project,
      apiEndpoint: `${servicePath}:${port}`,
      universeDomain,
      emulatorMode: false,
      sslCreds: withCalls(this.#sockets, trust),
      ...GRPC_OPTIONS,
      ...{ 'grpc-node.flow_control_window': WINDOW_BYTES },
    });
    this.#subscription = this.#client.subscription(options.subscription, {
      flowControl: { maxMessages: MAX_MESSAGES, maxBytes: MAX_BYTES },
      batching: { maxMilliseconds: ACK_BATCH_MS },
      streamingOptions: {
        // One stream holds every message in order of need; five, the default, only multiply connections and
        // bounds.
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
    // Opens the stream.
    this.#subscription.on('message', (message) => events.message(message));
  }

  get phase(): SocketHold['phase'] {
    return this.#sockets.phase;
  }

  /** Ever, over all connections. */
  get bytesReceived(): number {
    return this.#sockets.bytesReceived;
  }

  /**
   * Asks something that changes nothing and needs no permission beyond the reading itself: to acknowledge no
   * message. Any word of the service is an answer. Rejects with the gRPC error where the service refuses the
   * reader, or is not reached; never settles on a connection that is mute.
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
        // The vendor's service finds a list without ids invalid.
        if (!error || error.code === status.INVALID_ARGUMENT) resolve();
        else reject(error);
      });
    });
  }

  /** Takes no more, waits `settleMs` at most for what is in hand, gives the rest back. */
  async close(): Promise<void> {
    await this.#subscription.close();
    await this.#client.close();
  }

  /** Disconnects. */
  cut(): void {
    this.#sockets.cut();
  }
}
