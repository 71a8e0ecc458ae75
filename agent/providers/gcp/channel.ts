/**
 * One gRPC channel to Pub/Sub, without batching and without retry: one RPC for each publish, with its own
 * deadline.
 */
import { PublisherClient } from '@google-cloud/pubsub-api';
import { Client, InterceptingCall, type Interceptor, status } from '@grpc/grpc-js';
import type { Clock } from '../../../shared/clock.ts';
import { gcpChannel } from '../../../shared/gcp/connection.ts';
import { type GcpCredentials, withCalls } from '../../../shared/gcp/credentials.ts';
import { SocketHold } from '../../../shared/gcp/socket-hold.ts';
import type { OutboundEnvelope, Outcome } from '../publisher.ts';
import type { Try } from '../tries.ts';
import type { GcpOptions } from './options.ts';

/** gRPC's own deadline is later than the try's, as a backstop for a call that ignores its cancellation. */
const GRPC_GRACE_MS = 500;

export class PubSubChannel {
  readonly #sockets: SocketHold;
  readonly #client: PublisherClient;
  readonly #topic: string;
  readonly #tries = new Set<Try>();
  /** The loss of the connection after so many others. */
  #loss: { after: number; outcome: Outcome } | null = null;
  readonly #unused = Promise.withResolvers<void>();
  #isRetired: boolean = false;

  constructor(options: GcpOptions, trust: GcpCredentials, clock: Clock) {
    this.#topic = `projects/${options.project}/topics/${options.topic}`;
    const { client, tunnel } = gcpChannel(options);
    this.#sockets = new SocketHold(trust.channel, { tunnel, clock }, () => {
      for (const one of this.#tries) this.#tell(one);
    });
    const sslCreds = withCalls(this.#sockets, trust);
    this.#client = new PublisherClient({ ...client, sslCreds });
  }

  /** Bytes received on this channel since it was opened: tells a slow provider from a silent one. */
  get bytesReceived(): number {
    return this.#sockets.bytesReceived;
  }

  /**
   * Resolves when Pub/Sub has accepted the envelope; rejects with gRPC's status. The end of the try cancels
   * the call: before the connection is open nothing is sent, later RST_STREAM is sent.
   */
  async publish({ bytes, properties }: OutboundEnvelope, one: Try): Promise<void> {
    const message = { data: bytes, attributes: { ...properties } };
    one.reach('connect');
    this.#tell(one);
    this.#tries.add(one);
    try {
      // `retry: null` surfaces each status unchanged; `maxRetries: 0` would turn it into DEADLINE_EXCEEDED.
      // The try's own timer fires slightly earlier, and knows the phase.
      await this.#client.publish(
        { topic: this.#topic, messages: [message] },
        {
          timeout: one.leftMs + GRPC_GRACE_MS,
          retry: null,
          otherArgs: { options: { interceptors: [endedBy(one.signal)] } },
        },
      );
    } finally {
      this.#tries.delete(one);
      if (this.#isRetired) void this.retire();
    }
  }

  /** Connections of this channel that have ended so far: those who begin now lose the next one. */
  get connectionsLost(): number {
    return this.#sockets.closed;
  }

  /** One value for all publishes on one connection: one loss. `after`: how many had ended at their start. */
  lost(after: number, outcome: Outcome): Outcome {
    if (this.#loss?.after !== after) this.#loss = { after, outcome };
    return this.#loss.outcome;
  }

  /** Resolves when the last publish on it has ended; no new one may be sent. */
  retire(): Promise<void> {
    this.#isRetired = true;
    if (this.#tries.size === 0) this.#unused.resolve();
    return this.#unused.promise;
  }

  #tell(one: Try): void {
    if (this.#sockets.connected) one.leaves();
    else if (this.#sockets.phase === 'tls') one.reach('tls');
  }

  /** Ends the channel and its connections at once; calls in flight end as UNAVAILABLE. */
  async cut(): Promise<void> {
    // Not `client.close()`: it would open a second channel, for IAM, only to close it.
    const stub = await this.#client.initialize();
    if (stub instanceof Client) stub.close();
    this.#sockets.cut();
  }
}

/** The generated client returns no cancellable call; an interceptor has access to it. */
function endedBy(signal: AbortSignal): Interceptor {
  return (options, nextCall) => {
    const call = new InterceptingCall(nextCall(options));
    const end = (): void => call.cancelWithStatus(status.CANCELLED, 'taken back');
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return call;
  };
}
