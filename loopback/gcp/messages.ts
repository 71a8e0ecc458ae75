/**
 * The parts of google.pubsub.v1 that the loopback uses, as proto-loader decodes them (camelCase, with
 * defaults).
 */

export interface PubsubMessage {
  data: Buffer;
  attributes: Record<string, string>;
  messageId: string;
  publishTime: { seconds: number; nanos: number } | null;
  orderingKey: string;
}

export interface ReceivedMessage {
  ackId: string;
  message: PubsubMessage;
  deliveryAttempt: number;
}

export interface TopicResource {
  name: string;
}

export interface SubscriptionResource {
  name: string;
  topic: string;
  ackDeadlineSeconds: number;
  enableExactlyOnceDelivery: boolean;
  /** Empty: all messages. */
  filter: string;
}

export interface PublishRequest {
  topic: string;
  messages: PubsubMessage[];
}

export interface PublishResponse {
  messageIds: string[];
}

export interface PullRequest {
  subscription: string;
  maxMessages: number;
  returnImmediately: boolean;
}

export interface PullResponse {
  receivedMessages: ReceivedMessage[];
}

export interface AcknowledgeRequest {
  subscription: string;
  ackIds: string[];
}

export interface ModifyAckDeadlineRequest {
  subscription: string;
  ackIds: string[];
  ackDeadlineSeconds: number;
}

export interface StreamingPullRequest {
  subscription: string;
  ackIds: string[];
  modifyDeadlineSeconds: number[];
  modifyDeadlineAckIds: string[];
  streamAckDeadlineSeconds: number;
  maxOutstandingMessages: number;
  maxOutstandingBytes: number;
  protocolVersion: number;
}

export interface StreamingPullResponse {
  receivedMessages?: ReceivedMessage[];
  subscriptionProperties?: { exactlyOnceDeliveryEnabled: boolean; messageOrderingEnabled: boolean };
  acknowledgeConfirmation?: { ackIds: string[]; invalidAckIds: string[] };
}

/**
 * The bytes of a message for billing: data, attribute keys and values, 20 for the timestamp, and the message
 * id ("Pub/Sub pricing").
 */
export function billedBytes(message: PubsubMessage): number {
  let bytes = message.data.length + 20 + message.messageId.length;
  for (const [key, value] of Object.entries(message.attributes)) {
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes;
}
