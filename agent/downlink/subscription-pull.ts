/**
 * One gRPC channel to a Pub/Sub subscription: unary pulls, which Pub/Sub holds while there are no messages,
 * and acknowledgements.
 */
import { SubscriberClient } from '@google-cloud/pubsub-api';
import { Client, status } from '@grpc/grpc-js';
import type { Clock } from '../../shared/clock.ts';
import { gcpChannel } from '../../shared/gcp/connection.ts';
import { type GcpCredentials, openGcpCredentials, withCalls } from '../../shared/gcp/credentials.ts';
import { SocketHold } from '../../shared/gcp/socket-hold.ts';
import { outcomeOf } from '../providers/gcp/outcome.ts';
import type { GcpDownlinkConfig } from './options.ts';

/**
 * Pub/Sub sometimes answers an empty pull earlier; each pull is billed as 1,000 bytes ("Pub/Sub pricing").
 */
const PULL_MS = 60_000;
const ACKNOWLEDGE_MS = 10_000;
/** Most messages of one answer (I10). Only the newest receipt counts. */
const MESSAGES_MAX = 16;

interface PulledMessage {
  ackId: string;
  data: Uint8Array;
  attributes: Record<string, string>;
}

export type PullAnswer =
  | { kind: 'messages'; messages: PulledMessage[] }
  | { kind: 'failed'; problem: string; unauthorized: boolean };

export class SubscriptionPull {
  readonly #sockets: SocketHold;
  readonly #client: SubscriberClient;
  readonly #subscription: string;

  /** Rejects when a file of the options is not readable. */
  static async open(config: GcpDownlinkConfig, clock: Clock): Promise<SubscriptionPull> {
    // A gateway does not run on Google Cloud: a query for the metadata server would only hang.
    process.env['METADATA_SERVER_DETECTION'] ??= 'none';
    return new SubscriptionPull(config, await openGcpCredentials(config, clock), clock);
  }

  private constructor(config: GcpDownlinkConfig, trust: GcpCredentials, clock: Clock) {
    this.#subscription = `projects/${config.project}/subscriptions/${config.subscription}`;
    const { client, tunnel } = gcpChannel(config);
    this.#sockets = new SocketHold(trust.channel, { tunnel, clock });
    const sslCreds = withCalls(this.#sockets, trust);
    this.#client = new SubscriberClient({ ...client, sslCreds });
  }

  /** The waiting messages, or none after a minute. Never rejects. */
  async next(): Promise<PullAnswer> {
    const request = { subscription: this.#subscription, maxMessages: MESSAGES_MAX };
    try {
      const [{ receivedMessages }] = await this.#client.pull(request, { timeout: PULL_MS, retry: null });
      return { kind: 'messages', messages: (receivedMessages ?? []).map(messageOf) };
    } catch (error) {
      const isOver = Reflect.get(Object(error), 'code') === status.DEADLINE_EXCEEDED;
      if (isOver && this.#sockets.connected) return { kind: 'messages', messages: [] };
      return { kind: 'failed', ...problemOf(error) };
    }
  }

  /** Null, or the problem; the messages are then delivered again. Never rejects. */
  async acknowledge(ackIds: string[]): Promise<string | null> {
    if (ackIds.length === 0) return null;
    try {
      const request = { subscription: this.#subscription, ackIds };
      await this.#client.acknowledge(request, { timeout: ACKNOWLEDGE_MS, retry: null });
      return null;
    } catch (error) {
      return problemOf(error).problem;
    }
  }

  /** Ends the channel, its connections and its pending calls at once. */
  cut(): void {
    this.#sockets.cut();
    const end = (stub: unknown): void => {
      if (stub instanceof Client) stub.close();
      this.#sockets.cut();
    };
    // Not `client.close()`: it would open a second channel, for IAM, only to close it.
    this.#client.initialize().then(end, end);
  }
}

function problemOf(error: unknown): { problem: string; unauthorized: boolean } {
  const outcome = outcomeOf(error);
  const problem = 'detail' in outcome ? outcome.detail : outcome.kind;
  return { problem, unauthorized: outcome.kind === 'rejected' && outcome.cause === 'unauthorized' };
}

/** The generated types make every field optional. */
interface Received {
  ackId?: string | null;
  message?: { data?: Uint8Array | string | null; attributes?: Record<string, string> | null } | null;
}

function messageOf({ ackId, message }: Received): PulledMessage {
  const { data } = message ?? {};
  return {
    ackId: ackId ?? '',
    data: typeof data === 'string' ? Buffer.from(data, 'base64') : (data ?? new Uint8Array()),
    attributes: message?.attributes ?? {},
  };
}
