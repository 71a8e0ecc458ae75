/**
 * One gRPC channel to Pub/Sub with nothing between a publish and the wire: no batching, no retry, one RPC per
 * publish with a deadline of its own.
 */
import { PublisherClient } from '@google-cloud/pubsub-api';
import { Client, InterceptingCall, type Interceptor, status } from '@grpc/grpc-js';
import { GRPC_OPTIONS, gcpAddress } from '../../../shared/gcp/connection.ts';
import { type GcpCredentials, withCalls } from '../../../shared/gcp/credentials.ts';
import { SocketHold } from '../../../shared/gcp/socket-hold.ts';
import type { OutboundEnvelope } from '../publisher.ts';
import type { Try } from '../tries.ts';
import type { GcpOptions } from './options.ts';

/** gRPC's own deadline is behind ours, for a call that does not end when it is told to. */
const GRPC_GRACE_MS = 500;

export class PubSubChannel {
  readonly #sockets: SocketHold;
  readonly #client: PublisherClient;
  readonly #topic: string;
  readonly #tries = new Set<Try>();

  constructor(options: GcpOptions, trust: GcpCredentials) {
    this.#topic = `projects/${options.project}/topics/${options.topic}`;
    this.#sockets = new SocketHold(trust.channel, () => {
      for (const one of this.#tries) this.#tell(one);
    });
    const sslCreds = withCalls(this.#sockets, trust);
    this.#client = new PublisherClient({ ...gcpAddress(options), ...GRPC_OPTIONS, sslCreds });
  }

  /** Bytes that have come in on this channel, ever: what tells a slow provider from a silent one. */
  get bytesReceived(): number {
    return this.#sockets.bytesReceived;
  }

  /**
   * Resolves when Pub/Sub has taken it; otherwise rejects with gRPC's status. The end of the try ends the
   * call: while there is no connection it is not sent, later RST_STREAM follows it.
   */
  async publish({ bytes, properties }: OutboundEnvelope, one: Try): Promise<void> {
    const message = { data: bytes, attributes: { ...properties } };
    one.reach('connect');
    this.#tell(one);
    this.#tries.add(one);
    try {
      // `retry: null` surfaces each status unchanged; `maxRetries: 0` would turn it into DEADLINE_EXCEEDED.
      // The try's own timer is a little earlier, and knows what the deadline means.
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
    }
  }

  #tell(one: Try): void {
    if (this.#sockets.connected) one.leaves();
    else if (this.#sockets.phase === 'tls') one.reach('tls');
  }

  /** Ends the channel and its connections at once; calls in flight end as UNAVAILABLE. */
  async cut(): Promise<void> {
    // Not `client.close()`: that opens a second channel, for IAM, in order to close it.
    const stub = await this.#client.initialize();
    if (stub instanceof Client) stub.close();
    this.#sockets.cut();
  }
}

/** The generated client hands out no call that could be cancelled; an interceptor sees it. */
function endedBy(signal: AbortSignal): Interceptor {
  return (options, nextCall) => {
    const call = new InterceptingCall(nextCall(options));
    const end = (): void => call.cancelWithStatus(status.CANCELLED, 'taken back');
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return call;
  };
}
