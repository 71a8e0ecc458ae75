/** google.pubsub.v1.Subscriber: create, get, Pull, StreamingPull, Acknowledge, ModifyAckDeadline. */
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Broker } from './broker.ts';
import { asStatus, type Gate, Refusal, unary } from './calls.ts';
import type {
  AcknowledgeRequest,
  ModifyAckDeadlineRequest,
  PullRequest,
  PullResponse,
  StreamingPullRequest,
  StreamingPullResponse,
  SubscriptionResource,
} from './messages.ts';
import { notFound } from './publisher-service.ts';
import type { Puller, Subscription } from './subscription.ts';

/** The vendor's default for a subscription without a deadline. */
const DEFAULT_ACK_DEADLINE_SECONDS = 10;
/** "A bounded amount of time" (google.pubsub.v1.PullRequest); the vendor's is longer. */
const PULL_HELD_MS = 10_000;

export function subscriberService(options: { broker: Broker; gate: Gate }): UntypedServiceImplementation {
  const { broker, gate } = options;
  const find = (name: string): Subscription => {
    const subscription = broker.subscription(name);
    if (!subscription) throw notFound(name);
    return subscription;
  };
  return {
    createSubscription: unary<SubscriptionResource, SubscriptionResource>(gate, (asked) => {
      const resource = {
        ...asked,
        ackDeadlineSeconds: asked.ackDeadlineSeconds || DEFAULT_ACK_DEADLINE_SECONDS,
      };
      const made = broker.createSubscription(resource);
      if (made === 'no-topic') throw notFound(resource.topic);
      if (made === 'bad-filter') throw new Refusal(status.INVALID_ARGUMENT, 'The filter is not supported.');
      if (made === 'exists') throw new Refusal(status.ALREADY_EXISTS, 'Subscription already exists.');
      return resource;
    }),
    getSubscription: unary<{ subscription: string }, SubscriptionResource>(
      gate,
      ({ subscription }) => find(subscription).resource,
    ),
    pull: heldPull(gate, find),
    acknowledge: unary<AcknowledgeRequest, object>(gate, ({ subscription, ackIds }) => {
      const target = find(subscription);
      return confirm(
        target,
        ackIds.filter((ackId) => !target.acknowledge(ackId)),
      );
    }),
    modifyAckDeadline: unary<ModifyAckDeadlineRequest, object>(gate, (request) => {
      const target = find(request.subscription);
      return confirm(
        target,
        request.ackIds.filter((ackId) => !target.modifyDeadline(ackId, request.ackDeadlineSeconds)),
      );
    }),
    streamingPull: streamingPull(gate, find),
  };
}

/** Waits for messages unless the request says otherwise; a disconnected caller gets no message. */
function heldPull(
  gate: Gate,
  find: (name: string) => Subscription,
): handleUnaryCall<PullRequest, PullResponse> {
  return (call, callback) => {
    const { subscription: name, maxMessages, returnImmediately } = call.request;
    gate(call)
      .then(() => {
        const subscription = find(name);
        const first = subscription.pull(maxMessages);
        if (first.length > 0 || returnImmediately) return first;
        const gone = new AbortController();
        call.once('cancelled', () => gone.abort());
        return subscription.pullWhenThere(maxMessages, PULL_HELD_MS, gone.signal);
      })
      .then(
        (receivedMessages) => callback(null, { receivedMessages }),
        (error: unknown) => callback(asStatus(error)),
      );
  };
}

/**
 * Late ids are not an error, except with exactly-once delivery: there the subscriber must learn that its ack
 * did not count.
 */
function confirm(target: Subscription, invalid: readonly string[]): object {
  if (target.resource.enableExactlyOnceDelivery && invalid.length > 0) {
    throw new Refusal(
      status.FAILED_PRECONDITION,
      'Some acknowledgement ids in the request were invalid: the acknowledgement deadline has passed.',
    );
  }
  return {};
}

type PullStream = ServerDuplexStream<StreamingPullRequest, StreamingPullResponse>;

function streamingPull(
  gate: Gate,
  find: (name: string) => Subscription,
): handleBidiStreamingCall<StreamingPullRequest, StreamingPullResponse> {
  return (call) => {
    let open: { subscription: Subscription; puller: Puller } | null = null;
    const detach = (): void => {
      if (open) open.subscription.detach(open.puller);
      open = null;
    };
    const fail = (error: unknown): void => {
      detach();
      call.emit('error', asStatus(error));
    };
    call.on('cancelled', detach);
    call.on('error', detach);
    call.on('end', () => {
      detach();
      call.end();
    });
    gate(call).then(() => {
      call.on('data', (request: StreamingPullRequest) => {
        try {
          if (open) answer(call, open.subscription, open.puller, request);
          else open = begin(call, find(request.subscription), request);
        } catch (error) {
          fail(error);
        }
      });
    }, fail);
  };
}

function begin(
  call: PullStream,
  subscription: Subscription,
  request: StreamingPullRequest,
): { subscription: Subscription; puller: Puller } {
  const puller: Puller = {
    maxMessages: request.maxOutstandingMessages,
    maxBytes: request.maxOutstandingBytes,
    ackDeadlineMs: request.streamAckDeadlineSeconds * 1000,
    send: (receivedMessages) => call.write({ receivedMessages, ...properties(subscription) }),
  };
  call.write(properties(subscription));
  subscription.attach(puller);
  return { subscription, puller };
}

/**
 * Handles later requests on the stream: acks, deadlines, and the client's keepalive, which gets an empty
 * response.
 */
function answer(
  call: PullStream,
  subscription: Subscription,
  puller: Puller,
  request: StreamingPullRequest,
): void {
  if (request.modifyDeadlineAckIds.length !== request.modifyDeadlineSeconds.length) {
    throw new Refusal(status.INVALID_ARGUMENT, 'Each ack id needs its own deadline.');
  }
  if (request.streamAckDeadlineSeconds > 0) puller.ackDeadlineMs = request.streamAckDeadlineSeconds * 1000;
  for (const [i, ackId] of request.modifyDeadlineAckIds.entries()) {
    subscription.modifyDeadline(ackId, request.modifyDeadlineSeconds[i] ?? 0);
  }
  const invalidAckIds = request.ackIds.filter((ackId) => !subscription.acknowledge(ackId));
  const confirmation = {
    acknowledgeConfirmation: {
      ackIds: request.ackIds.filter((ackId) => !invalidAckIds.includes(ackId)),
      invalidAckIds,
    },
  };
  call.write({
    ...properties(subscription),
    ...(request.ackIds.length > 0 && subscription.resource.enableExactlyOnceDelivery ? confirmation : {}),
  });
}

function properties(subscription: Subscription): StreamingPullResponse {
  const { enableExactlyOnceDelivery } = subscription.resource;
  return {
    subscriptionProperties: {
      exactlyOnceDeliveryEnabled: enableExactlyOnceDelivery,
      messageOrderingEnabled: false,
    },
  };
}
