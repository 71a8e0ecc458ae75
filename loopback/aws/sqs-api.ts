/**
 * The SQS operations that a consumer needs, as JSON in and out (Amazon SQS API reference, AWS JSON protocol).
 */
import { z } from 'zod';
import type { ReceivedMessage, SqsQueue } from './sqs-queue.ts';

export type SqsReply =
  | { kind: 'output'; output: object }
  /** Sent with status 400; `type` is the last part of `__type`, for example `QueueDoesNotExist`. */
  | { kind: 'refused'; type: string; message: string };

export type SqsOperation = (
  queue: SqsQueue,
  input: unknown,
  gone: AbortSignal,
) => SqsReply | Promise<SqsReply>;

const SECOND_MS = 1000;
const VISIBILITY_DEFAULT_SECONDS = 30;
const VISIBILITY_MAX_SECONDS = 43_200;
/** "Amazon SQS message quotas". */
const BODY_BYTES_MAX = 2 ** 20;

const visibilitySeconds = z.int().min(0).max(VISIBILITY_MAX_SECONDS);
const handle = { ReceiptHandle: z.string() };
const visibility = { ...handle, VisibilityTimeout: visibilitySeconds };

function batch<T extends z.ZodRawShape>(entry: T) {
  return z.object({
    Entries: z
      .array(z.object({ Id: z.string(), ...entry }))
      .min(1)
      .max(10),
  });
}

const receiveMessage = operation(
  z.object({
    MaxNumberOfMessages: z.int().min(1).max(10).default(1),
    WaitTimeSeconds: z.int().min(0).max(20).default(0),
    VisibilityTimeout: visibilitySeconds.default(VISIBILITY_DEFAULT_SECONDS),
  }),
  async (queue, input, gone) => {
    const options = {
      max: input.MaxNumberOfMessages,
      waitMs: input.WaitTimeSeconds * SECOND_MS,
      visibilityMs: input.VisibilityTimeout * SECOND_MS,
    };
    const messages = await queue.receive(options, gone);
    return done(messages.length > 0 ? { Messages: messages.map(messageOutput) } : {});
  },
);

const deleteMessage = operation(z.object(handle), (queue, input) => {
  queue.delete(input.ReceiptHandle);
  return done({});
});

const deleteMessageBatch = operation(batch(handle), (queue, { Entries }) => {
  for (const entry of Entries) queue.delete(entry.ReceiptHandle);
  return done({ Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] });
});

const changeMessageVisibility = operation(z.object(visibility), (queue, input) =>
  queue.changeVisibility(input.ReceiptHandle, input.VisibilityTimeout * SECOND_MS)
    ? done({})
    : refused('MessageNotInflight', 'The message referred to is not in flight.'),
);

const changeMessageVisibilityBatch = operation(batch(visibility), (queue, { Entries }) => {
  const Successful: object[] = [];
  const Failed: object[] = [];
  for (const { Id, ReceiptHandle, VisibilityTimeout } of Entries) {
    if (queue.changeVisibility(ReceiptHandle, VisibilityTimeout * SECOND_MS)) Successful.push({ Id });
    else Failed.push({ Id, Code: 'MessageNotInflight', SenderFault: true });
  }
  return done({ Successful, Failed });
});

const sendMessage = operation(z.object({ MessageBody: z.string().min(1) }), (queue, { MessageBody }) => {
  if (Buffer.byteLength(MessageBody) > BODY_BYTES_MAX) {
    return refused('InvalidParameterValue', `The message is longer than ${BODY_BYTES_MAX} bytes.`);
  }
  const { id, md5 } = queue.send(MessageBody);
  return done({ MessageId: id, MD5OfMessageBody: md5 });
});

/** Returns only the requested attributes. */
const getQueueAttributes = operation(
  z.object({ AttributeNames: z.array(z.string()).default([]) }),
  (queue, { AttributeNames: asked }) => {
    const all = {
      ApproximateNumberOfMessages: String(queue.visible),
      ApproximateNumberOfMessagesNotVisible: String(queue.inFlight),
      VisibilityTimeout: String(VISIBILITY_DEFAULT_SECONDS),
    };
    const told = Object.entries(all).filter(([name]) => asked.includes(name) || asked.includes('All'));
    return done({ Attributes: Object.fromEntries(told) });
  },
);

/**
 * Operations by the name after `AmazonSQS.` in `x-amz-target`. The endpoint itself implements `GetQueueUrl`,
 * because it knows its address.
 */
export const SQS_OPERATIONS: ReadonlyMap<string, SqsOperation> = new Map([
  ['ReceiveMessage', receiveMessage],
  ['DeleteMessage', deleteMessage],
  ['DeleteMessageBatch', deleteMessageBatch],
  ['ChangeMessageVisibility', changeMessageVisibility],
  ['ChangeMessageVisibilityBatch', changeMessageVisibilityBatch],
  ['SendMessage', sendMessage],
  ['GetQueueAttributes', getQueueAttributes],
]);

export function refused(type: string, message: string): SqsReply {
  return { kind: 'refused', type, message };
}

export function done(output: object): SqsReply {
  return { kind: 'output', output };
}

function operation<T>(
  schema: z.ZodType<T>,
  run: (queue: SqsQueue, input: T, gone: AbortSignal) => SqsReply | Promise<SqsReply>,
): SqsOperation {
  return (queue, input, gone) => {
    const parsed = schema.safeParse(input);
    if (parsed.success) return run(queue, parsed.data, gone);
    return refused('InvalidParameterValue', z.prettifyError(parsed.error));
  };
}

function messageOutput(message: ReceivedMessage): object {
  return {
    MessageId: message.id,
    ReceiptHandle: message.handle,
    MD5OfBody: message.md5,
    Body: message.body,
    Attributes: {
      ApproximateReceiveCount: String(message.receiveCount),
      ApproximateFirstReceiveTimestamp: String(message.firstReceivedMs),
      SentTimestamp: String(message.sentMs),
    },
  };
}
