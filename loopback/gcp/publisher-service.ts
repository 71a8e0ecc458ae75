/**
 * google.pubsub.v1.Publisher: CreateTopic, GetTopic, Publish, with the vendor's limits and the faults of the
 * API itself.
 */
import { status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { CloudMeter } from '../cloud.ts';
import type { Fault, FaultName } from '../faults.ts';
import type { PermanentRefusal } from '../permanent-refusal.ts';
import type { Broker } from './broker.ts';
import { type Gate, Refusal, UNAVAILABLE, unary } from './calls.ts';
import { billedBytes, type PublishRequest, type PublishResponse, type TopicResource } from './messages.ts';

/** "Pub/Sub quotas and limits": 10 MB and 1,000 messages per request, 100 attributes per message. */
const MAX_REQUEST_BYTES = 10_000_000;
const MAX_MESSAGES = 1000;
const MAX_ATTRIBUTES = 100;
/** "Pub/Sub pricing": a request is billed as at least 1,000 bytes. */
const MIN_BILLED_BYTES = 1000;

const ANSWERED_FAULTS: Partial<Record<FaultName, Refusal>> = {
  error: UNAVAILABLE,
  unauthorized: new Refusal(
    status.UNAUTHENTICATED,
    'Request had invalid authentication credentials. Expected OAuth 2 access token or other valid credential.',
  ),
};

export function publisherService(options: {
  broker: Broker;
  gate: Gate;
  meter: CloudMeter;
  fault: () => Fault | null;
  refusal: PermanentRefusal;
}): UntypedServiceImplementation {
  const { broker, gate, meter } = options;

  const publish = (request: PublishRequest, ingest: boolean, cut: () => void): PublishResponse | null => {
    const fault = ingest ? options.fault() : null;
    if (ingest) meter.requests += 1;
    const refusal = (fault && ANSWERED_FAULTS[fault.name]) ?? checkRequest(request, broker);
    if (refusal) throw refusal;
    if (ingest) refuseForGood(request, options.refusal);
    const messageIds = broker.publish(request.topic, request.messages, fault);
    if (ingest) count(meter, request, messageIds);
    if (fault?.name !== 'ack-lost') return { messageIds };
    cut();
    return null;
  };

  return {
    publish: unary<PublishRequest, PublishResponse>(gate, (request, caller) =>
      publish(request, caller.ingest, caller.cut),
    ),
    createTopic: unary<TopicResource, TopicResource>(gate, (topic) => {
      if (!broker.createTopic(topic.name)) throw new Refusal(status.ALREADY_EXISTS, 'Topic already exists.');
      return topic;
    }),
    getTopic: unary<{ topic: string }, TopicResource>(gate, ({ topic }) => {
      if (!broker.hasTopic(topic)) throw notFound(topic);
      return { name: topic };
    }),
  };
}

/** "Schema overview" (Pub/Sub): a publish that does not match the topic's schema is INVALID_ARGUMENT. */
function refuseForGood(request: PublishRequest, refusal: PermanentRefusal): void {
  const verdicts = request.messages.map(({ data }) => refusal.verdict(data));
  if (verdicts.includes('too-large')) throw tooLarge();
  if (!verdicts.includes('invalid')) return;
  throw new Refusal(status.INVALID_ARGUMENT, 'Invalid data in message: Message failed schema validation.');
}

function tooLarge(): Refusal {
  return new Refusal(
    status.INVALID_ARGUMENT,
    `Request payload size exceeds the limit: ${MAX_REQUEST_BYTES} bytes.`,
  );
}

function checkRequest(request: PublishRequest, broker: Broker): Refusal | null {
  if (!broker.hasTopic(request.topic)) return notFound(request.topic);
  const bytes = request.messages.reduce((sum, message) => sum + billedBytes(message), 0);
  if (bytes > MAX_REQUEST_BYTES) return tooLarge();
  const wrong = request.messages.some(
    ({ data, attributes }) =>
      Object.keys(attributes).length > MAX_ATTRIBUTES ||
      (data.length === 0 && Object.keys(attributes).length === 0),
  );
  if (wrong || request.messages.length === 0 || request.messages.length > MAX_MESSAGES) {
    return new Refusal(status.INVALID_ARGUMENT, 'The value for message is invalid.');
  }
  return null;
}

function count(meter: CloudMeter, request: PublishRequest, messageIds: readonly string[]): void {
  let billed = 0;
  for (const [i, message] of request.messages.entries()) {
    const stream = message.attributes['st'] ?? '';
    meter.accepted += 1;
    meter.bytes += message.data.length;
    meter.perStream[stream] = (meter.perStream[stream] ?? 0) + 1;
    billed += billedBytes({ ...message, messageId: messageIds[i] ?? '' });
  }
  meter.units += Math.max(MIN_BILLED_BYTES, billed);
}

export function notFound(name: string): Refusal {
  return new Refusal(
    status.NOT_FOUND,
    `Resource not found (resource=${name.slice(name.lastIndexOf('/') + 1)}).`,
  );
}
